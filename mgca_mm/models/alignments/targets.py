"""Which reports of a batch answer an image: targets of :class:`InstanceAlignment` besides the image's own report.

Each gives pairs i and j a weight w_ij ≥ 0, of which the target is ``y_ij = w_ij / Σ_k w_ik``; two of them, (2, B, N),
where that of image i → report j is not that of report i → image j. What ``describe`` returns has one size for reports
of any length, so that ranks can exchange it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgca_mm.errors import UserError, require_positive
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures


@MODELS.register_module()
class IdenticalReports(nn.Module):
    """Reports of the same pieces answer alike: ``w_ij = [r_i = r_j]``.

    Such are those of several views of one study, as all of them have its report (You et al., *CXR-CLIP*, MICCAI 2023,
    takes them for positives), and the many that say that nothing is wrong, which would be false negatives.
    """

    BASE = 6364136223846793005  # odd; the multiplier of Knuth's MMIX generator

    def describe(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        """(B,) a number for each report, ``Σ_t piece_t BASE^t`` modulo 2^64, by which different ones are told apart."""
        ids = text.piece_ids * text.piece_mask
        return (ids * torch.full_like(ids, self.BASE).cumprod(dim=1)).sum(dim=1)

    def forward(self, own: Tensor, every: Tensor) -> Tensor:
        """(B,) and (N,) described reports → (B, N) whether they are identical."""
        return own[:, None] == every


@MODELS.register_module()
class ReportSimilarity(nn.Module):
    """Reports of similar words answer similarly, ``w_ij = exp(s_ij / τ)``: :class:`LabelSimilarity` without labels.

    s is the cosine of the pieces that reports i and j have, each weighted by how few reports of the batch have it
    (tf-idf): the logarithm of the number of reports over that of those with the piece. What all have, such as [CLS],
    counts nothing, and a report of nothing else answers all images alike.

    Args:
        temperature: τ. Words are less alike than labels; 0.3 leaves a fifth of the target with the own report, in
            batches of 64 of the phantom.
        num_buckets: Pieces that are told apart; those of a larger vocabulary share buckets. So many numbers a report
            are exchanged by the ranks.
    """

    def __init__(self, temperature: float = 1.0, num_buckets: int = 2**15):
        super().__init__()
        require_positive(temperature=temperature, num_buckets=num_buckets)
        self.temperature = temperature
        self.num_buckets = num_buckets

    def describe(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        """(B, num_buckets) how often each report has each piece."""
        counts = text.global_feature.new_zeros(len(text.piece_ids), self.num_buckets)
        return counts.scatter_add_(1, text.piece_ids % self.num_buckets, text.piece_mask.to(counts.dtype))

    def forward(self, own: Tensor, every: Tensor) -> Tensor:
        """(B, K) and (N, K) described reports → (B, N) weights, at most 1."""
        rarity = (len(every) / (every > 0).sum(dim=0, dtype=every.dtype).clamp(min=1)).log()  # (K,)
        own, every = F.normalize(own * rarity, dim=1), F.normalize(every * rarity, dim=1)
        return _weigh(own @ every.T, self.temperature)


@MODELS.register_module()
class LabelSimilarity(nn.Module):
    """Reports of similar labels answer similarly, ``w_ij = exp(s_ij / τ)``, whomever they belong to.

    MedCLIP (Wang et al., EMNLP 2022): s is the cosine of the labels of image i and of report j, each a vector of 1
    (there), -1 (denied) and 0 (uncertain, or not mentioned). Where the loader draws reports of others, those of a pair
    differ, and report i → image j has weights of its own::

        image i → report j   cos(labels of image i, labels of report j)
        report i → image j   cos(labels of report i, labels of image j)

    Pairs without a finding are alike by what they deny, and by "No Finding" where that is a label. Nothing is similar
    to a vector of zeros: a report that mentions no label answers all images alike.

    Args:
        temperature: τ; 1 in MedCLIP. As it falls, what is left are the pairs of the same labels.
    """

    def __init__(self, temperature: float = 1.0):
        super().__init__()
        require_positive(temperature=temperature)
        self.temperature = temperature

    def describe(self, image: ImageFeatures, text: TextFeatures) -> Tensor:
        """(B, 2, K) labels of each image and of the report beside it.

        Raises:
            UserError: The loader gives none.
        """
        if image.labels is None or text.labels is None:
            raise UserError(
                "LabelSimilarity needs labels, and the loader gives none.\n"
                "Put dict(type='EncodeLabels') before PackImageReportInputs in train_pipeline and test_pipeline."
            )
        return torch.stack([image.labels, text.labels], dim=1).to(text.global_feature.dtype)

    def forward(self, own: Tensor, every: Tensor) -> Tensor:
        """(B, 2, K) and (N, 2, K) described pairs → (2, B, N) weights, at most 1."""
        rows, columns = own.transpose(0, 1), every.flip(1).transpose(0, 1)  # images and reports, reports and images
        lengths = rows.norm(dim=-1)[:, :, None] * columns.norm(dim=-1)[:, None]  # (2, B, N)
        # Divided after the product, which is exact for whole numbers, also in TF32: a low temperature asks for that.
        cosine = rows @ columns.mT / lengths.clamp(min=1)
        return _weigh(cosine, self.temperature)


def _weigh(similarity: Tensor, temperature: float) -> Tensor:
    """``exp(s / τ)`` of (…, N), of each row by its highest, so that at a low τ something is left of every row."""
    return ((similarity - similarity.amax(dim=-1, keepdim=True)) / temperature).exp()
