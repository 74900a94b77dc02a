"""Loading of radiographs."""

from typing import Literal

import numpy as np
from mmcv.transforms import BaseTransform

from mgca_mm.datasets.identity import pseudonym
from mgca_mm.errors import UserError
from mgca_mm.prepared import open_store, row_of
from mgca_mm.radiographs.reading import read_radiograph
from mgca_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadRadiograph(BaseTransform):
    """Loads a gray radiograph from a row of the prepared image store or from an image file.

    Required keys: ``image_store`` and ``image_index``, or ``img_path``.
    Added keys: ``img`` (H, W) uint8, or (H, W, 3) with equal channels; ``img_shape``, ``ori_shape``.

    Args:
        channels: 1, or 3 for transforms and models that know color images only.
    """

    def __init__(self, channels: Literal[1, 3] = 1):
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {channels}")
        self.channels = channels
        self._stores: dict[str, np.ndarray] = {}

    def transform(self, results: dict) -> dict:
        """Load one radiograph.

        Raises:
            UserError: If the store or the file cannot be read.
        """
        if "image_store" in results:
            path = results["image_store"]
            # A copy, so that no later transform writes to or keeps a page of the shared map.
            image = np.array(row_of(self._open(path), results["image_index"], path))
        else:
            image = _read(results)
        if self.channels == 3:
            image = np.repeat(image[..., None], 3, axis=-1)
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results

    def _open(self, path: str) -> np.ndarray:
        """Memory map of a store, opened once in each worker."""
        if path not in self._stores:
            self._stores[path] = np.asarray(open_store(path))  # np.memmap's own indexing takes as long as a copy
        return self._stores[path]

    def __getstate__(self) -> dict:
        """Leave the maps behind when the pipeline is sent to a worker."""
        return {**self.__dict__, "_stores": {}}


def _read(results: dict) -> np.ndarray:
    """Read an image file; an error names the sample by a salted hash, for the path of a file names the patient."""
    path = str(results["img_path"])
    try:
        return read_radiograph(path)
    except UserError as error:
        reason = str(error).replace(path, "").lstrip(": ")
        name = pseudonym(results.get("image_id", path), results.get("data_root"))
        raise UserError(
            f"{name}: {reason}\nFind it with mgca_mm.datasets.identity.find_identifiers, or check the whole folder: "
            "mgca-mm prepare NAME --out FOLDER --check"
        ) from None  # the first error has the path
