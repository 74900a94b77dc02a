"""What the layouts of the two tuberculosis sets share: names, and what stands for tuberculosis.

The phantom knows none: a study with a consolidation, a nodule, a pleural effusion or a pneumonia counts as positive.
"""

from ..render import PhantomImage
from ..study import PhantomStudy
from .layout import FRONTAL, PhantomOptions, draw, truth_row

_SIGNS = {"consolidation", "nodule", "pleural_effusion", "pneumonia"}


def draw_frontal(
    study: PhantomStudy, options: PhantomOptions, prefix: str, number: int
) -> tuple[str, bool, PhantomImage, dict[str, object]]:
    """Name of a study's first frontal image, whether it is positive, the image, and its row of the truth."""
    positive = any(finding.kind in _SIGNS for finding in study.findings)
    name = f"{prefix}_{number:04d}_{int(positive)}"
    _, view, image = next(draw(study, options, FRONTAL))
    return name, positive, image, truth_row(study, view, image, image_id=name)
