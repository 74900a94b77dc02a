"""What travels between the parts: features of the two modalities, and one image-report pair.

Letters used everywhere: B batch, S visual tokens, L words, C channels, D embedding, K prototypes.
"""

from typing import NamedTuple

from mmengine.structures import BaseDataElement
from torch import Tensor


class ImageFeatures(NamedTuple):
    """Features or, after projection, embeddings of a batch of radiographs.

    Attributes:
        global_feature: (B, C) one vector an image. None where reports are not encoded, so that nothing is compared.
        tokens: (B, S, C) one vector a region; C may differ from that of ``global_feature``. None where no
            alignment asks for tokens.
        token_weight: (B, S) importance of each region, detached and not yet normalized. None as above.
        latent: (B, C) global feature that ``global_feature`` was projected from, as the encoder gives it. None before
            projection, and where reports are not encoded.
        labels: (B, K) 1 where a label is true of the image, -1 where it is denied, else 0. None where the loader gives
            none.
    """

    global_feature: Tensor | None
    tokens: Tensor | None = None
    token_weight: Tensor | None = None
    latent: Tensor | None = None
    labels: Tensor | None = None


class TextFeatures(NamedTuple):
    """Features or, after projection, embeddings of a batch of reports.

    Attributes:
        global_feature: (B, C) one vector a report. None where reports are not encoded.
        tokens: (B, L, C) one vector a word. None where no alignment asks for tokens.
        token_weight: (B, L) importance of each word, detached and not yet normalized. None as above.
        token_mask: (B, L) True where a slot holds a real word. None as above.
        piece_ids: (B, T) word pieces of the report, [CLS] first and [SEP] last. None before projection.
        piece_mask: (B, T) True where a slot holds a real piece. None before projection.
        location_ids: (B, T') word pieces of a sentence that names a location. None where the loader draws none.
        location_mask: (B, T') True where a slot holds a real piece; nowhere if no sentence names one. None as above.
        labels: (B, K) those of the report, as of an image. None where the loader gives none.
    """

    global_feature: Tensor | None
    tokens: Tensor | None = None
    token_weight: Tensor | None = None
    token_mask: Tensor | None = None
    piece_ids: Tensor | None = None
    piece_mask: Tensor | None = None
    location_ids: Tensor | None = None
    location_mask: Tensor | None = None
    labels: Tensor | None = None


class CrossAttention(NamedTuple):
    """How the words of reports and the regions of their radiographs look at each other.

    Attributes:
        words_to_regions: (B, L, S) each word's attention over the regions, sum 1; rows of padding mean nothing.
        regions_to_words: (B, S, L) each region's attention over the words, sum 1, none on padding.
    """

    words_to_regions: Tensor
    regions_to_words: Tensor


class ImageReportSample(BaseDataElement):
    """Identity of one image-report pair and, after prediction, its embeddings.

    Meta information (from the dataset): ``image_id``, ``patient_id``, ``study_id``, ``report_id``.
    Data (from ``mode='predict'``): ``losses`` (dict of scalars: the batch's losses, for averaging over the validation
    set); ``image_embedding`` (D,) and ``report_embedding`` (D,) where reports are encoded; what the alignments predict.
    """
