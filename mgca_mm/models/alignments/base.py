"""What every alignment has in common."""

from mmengine.model import BaseModule
from torch import Tensor

from mgca_mm.errors import require_not_negative
from mgca_mm.structures import CrossAttention, ImageFeatures, TextFeatures


class Alignment(BaseModule):
    """One term of a pretraining objective; a method is a dict of them.

    Subclass it, write ``forward``, register the class in :data:`mgca_mm.registry.MODELS` and name it in a config
    (``docs/add_a_method.md``). The features come projected by :class:`mgca_mm.models.ImageReportPretrainer`, which asks
    the class what it has to compute:

    Args:
        init_cfg: MMEngine initialization.
        loss_weight: Weight of the term, by which ``forward`` multiplies.

    Attributes:
        uses_tokens: ``tokens`` and what belongs to them are needed besides the global features.
        encodes_reports: Embeddings of the reports are needed. False: the report is a target, not an input; only its
            pieces (``piece_ids``, ``piece_mask``) are there where no other alignment needs more, and of the image only
            the tokens.
    """

    uses_tokens = False
    encodes_reports = True

    def __init__(self, init_cfg: dict | None = None, loss_weight: float = 1.0):
        super().__init__(init_cfg)
        require_not_negative(loss_weight=loss_weight)
        self.loss_weight = loss_weight

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the term, in fp32 or more.

        Args:
            image: Embeddings of the local images (B, …).
            text: Embeddings of their reports (B, …), in the same order.

        Returns:
            Scalars by name. Those with "loss" in their name are added up and minimized, the others logged; the
            convention for several ranks stands in :mod:`mgca_mm.distributed`.
        """
        raise NotImplementedError

    def predict(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """What a trained model can say of a batch beyond embeddings: name → (B, …), a row for each sample."""
        return {}

    def attend(self, image: ImageFeatures, text: TextFeatures) -> CrossAttention | None:
        """Attention between words and regions, for heat maps; None where the alignment has learned none."""
        return None
