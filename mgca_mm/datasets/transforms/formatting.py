"""Packing of a sample for the model."""

import hashlib

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mgca_mm.registry import TRANSFORMS
from mgca_mm.structures import ImageReportSample

_TENSORS = ("input_ids", "attention_mask", "is_continuation", "location_ids", "location_mask")
_TENSORS += ("image_labels", "report_labels")


@TRANSFORMS.register_module()
class PackImageReportInputs(BaseTransform):
    """Packs a pair for :class:`mgca_mm.models.ImageReportPretrainer`.

    Required keys: ``img`` (H, W) uint8; ``input_ids``, ``attention_mask``, ``is_continuation`` (T,) where there is a
    report; ``location_ids``, ``location_mask`` (T',) where a sentence of it was drawn; ``image_labels``,
    ``report_labels`` (K,) where labels were encoded.
    Result: ``inputs`` with ``image`` (1, H, W) uint8 and the report's tensors, and ``data_samples`` with the identity.

    Args:
        meta_keys: What of the sample's identity to keep; ``report_id`` is a digest of ``input_ids``: of what a text
            encoder sees of the report.
    """

    def __init__(self, meta_keys: tuple[str, ...] = ("image_id", "patient_id", "study_id", "report_id", "labels")):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one pair."""
        inputs = {"image": torch.from_numpy(np.ascontiguousarray(results["img"]))[None]}
        inputs |= {key: torch.from_numpy(results[key]) for key in _TENSORS if key in results}
        if "input_ids" in results and "report_id" in self.meta_keys:
            # Reports that differ in marks that no piece has, or behind the last piece, are the same to any encoder.
            results["report_id"] = hashlib.sha256(results["input_ids"].tobytes()).hexdigest()[:32]
        sample = ImageReportSample()
        for key in self.meta_keys:
            if key in results:
                # One by one: set_metainfo would copy values that are the sample's own already.
                sample.set_field(results[key], key, field_type="metainfo")
        return {"inputs": inputs, "data_samples": sample}
