"""Labels of a sample as vectors."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mgca_mm.errors import UserError
from mgca_mm.registry import TRANSFORMS

_SIGNS = {1: 1, 0: -1, -1: 0, None: 0}


@TRANSFORMS.register_module()
class EncodeLabels(BaseTransform):
    """Makes vectors of the labels of an image and of its report, for targets that compare them.

    As in MedCLIP's code, 1 is there, -1 denied (0 in prepared data), and 0 neither: uncertain (-1) or not mentioned.

    Required keys: ``labels``, a list of 1, 0, -1, None; ``report_labels``, such a list, where the report is another's.
    Added or modified keys: ``image_labels``, ``report_labels``, each (K,) float32.
    """

    def transform(self, results: dict) -> dict:
        """Encode the labels.

        Raises:
            UserError: There are none.
        """
        own = results.get("labels")
        of_report = results.get("report_labels", own)
        if own is None or of_report is None:
            raise UserError(
                f"'{results.get('data_root')}' has no labels.\nPrepare it with them (of MIMIC-CXR, beside its table "
                "mimic-cxr-2.0.0-chexpert.csv), or leave out EncodeLabels and take the target ReportSimilarity."
            )
        return {**results, "image_labels": _signs(own), "report_labels": _signs(of_report)}


def _signs(labels: Sequence[int | None]) -> np.ndarray:
    return np.array([_SIGNS[label] for label in labels], dtype=np.float32)
