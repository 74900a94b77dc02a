"""Writing a sentence that names a location from the regions there."""

import torch.nn.functional as F
from torch import Tensor, nn

from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .captioning import CaptioningAlignment


@MODELS.register_module()
class LocationCaptioningAlignment(CaptioningAlignment):
    """Writes the report from all regions, and a sentence that names a location from those that it attends to.

    After the location-aware captioning of LoFi (Kang, Yang and Li, arXiv 2603.19451), where a location is a box; here,
    where reports have none, the sentence itself says where to look. With the embedded pieces e(y_t) of the sentence and
    the regions v_s::

        q = W mean_t e(y_t)        α_s = softmax_s(q · v_s / √D)        c = Σ_s α_s v_s
        loss = caption - 1/N Σ log p(y_t | y_<t, c)

    over the N pieces of the sentences that the loader has drawn (``TokenizeLocation``), one a report or none. The
    decoder is that of the report, and sees nothing of the image but c. In evaluation the report alone is scored: which
    sentence is drawn would be chance.

    Args:
        decoder: As in :class:`CaptioningAlignment`.
        vocab_size: As there.
        **kwargs: As there; ``loss_weight`` is that of both losses.
    """

    def __init__(self, decoder: dict, vocab_size: int, **kwargs):
        super().__init__(decoder, vocab_size, **kwargs)
        self.query = nn.Linear(self.decoder.embed_dims, self.decoder.region_dims, bias=False)

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the losses of a batch by teacher forcing.

        Args:
            image: Projected tokens (B, S, D).
            text: Pieces of the reports (B, T) and, in training, of one sentence of each (B, T'), with their masks.

        Returns:
            As :class:`CaptioningAlignment` and, in training, ``loss_location`` and ``acc_location`` of the sentences;
            0 where the batch has none.

        Raises:
            UserError: In training, if the loader draws no sentences.
        """
        results = super().forward(image, text)
        if not self.training:
            return results
        ids, mask = text.location_ids, text.location_mask
        if ids is None:
            raise UserError(
                "LocationCaptioningAlignment needs sentences that name a location, and the loader draws none.\n"
                "Put dict(type='TokenizeLocation') before PackImageReportInputs in train_pipeline."
            )
        regions, real = image.tokens * self.region_scale, mask[:, :, None]
        sentence = (self.decoder.embedding(ids) * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)  # (B, C)
        seen = F.scaled_dot_product_attention(self.query(sentence)[:, None], regions, regions)  # (B, 1, D)
        loss, accuracy = self._teach(ids, mask, seen)
        return results | dict(loss_location=loss * self.loss_weight, acc_location=accuracy)
