"""Swapped prediction between the prototype assignments of the two modalities."""

from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class SwappedPredictionLoss(nn.Module):
    """Cross-entropy of each modality's assignment against the other's code (MGCA eq. 7-9).

    ``-½ · 1/B Σ_i Σ_k [ q_text_ik log p_image_ik + q_image_ik log p_text_ik ]`` with p = softmax(scores / τ3).
    Eq. 8 is printed without the minus sign.

    Args:
        temperature: τ3 that divides the scores.
    """

    def __init__(self, temperature: float = 0.2):
        super().__init__()
        require_positive(temperature=temperature)
        self.temperature = temperature

    def forward(self, image_scores: Tensor, text_scores: Tensor, image_codes: Tensor, text_codes: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            image_scores: (B, K) cosine of images to prototypes.
            text_scores: (B, K) cosine of reports to prototypes.
            image_codes: (B, K) targets from the images, rows sum to 1, no gradient.
            text_codes: (B, K) targets from the reports.

        Returns:
            Scalar loss.
        """
        image_log_p = (image_scores / self.temperature).log_softmax(dim=1)
        text_log_p = (text_scores / self.temperature).log_softmax(dim=1)
        image_loss = -(text_codes * image_log_p).sum(dim=1).mean()
        text_loss = -(image_codes * text_log_p).sum(dim=1).mean()
        return (image_loss + text_loss) / 2
