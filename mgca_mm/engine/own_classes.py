"""Configs whose classes are those of a prepared folder: their names, their number, and what depends on it.

A config asks for it by a dictionary ``own_classes``: what changes in it where classes exclude one another, as those of
one column of class names, or of masks with more than one beside the background. It cannot read the folder itself, for
``data_root`` may be changed on top of it.
"""

from pathlib import Path

from mmengine.config import Config

from mgca_mm.errors import UserError
from mgca_mm.prepared import OWN_CLASSES, read_classes

_KEY = "own_classes"
# Type of the data set → task, and the part of the model that has a number of classes.
_TASKS = {
    "ChestXrayDataset": ("classification", "head"),
    "CocoDataset": ("detection", "bbox_head"),
    "BaseSegDataset": ("segmentation", "decode_head"),
}
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def follow_classes(cfg: Config, required: bool = False) -> None:
    """Fill in the classes of the prepared folder, in place; ``own_classes`` is gone then.

    Args:
        cfg: A config; one without ``own_classes`` is left alone.
        required: Whether the folder must be there; else the config stays as it is without it.

    Raises:
        UserError: The folder is not there, or has no such labels, boxes or masks.
    """
    if cfg.get(_KEY) is None:
        return
    dataset = cfg.train_dataloader.dataset
    task, head = _TASKS.get(dataset.type.rpartition(".")[2], (None, None))
    if task is None:
        raise UserError(f"Config key '{_KEY}' needs one of the data sets {', '.join(_TASKS)}, not '{dataset.type}'.")
    if not required and not (Path(dataset.data_root) / OWN_CLASSES[task]).is_file():
        return
    classes, exclusive = read_classes(dataset.data_root, task)
    changes = cfg.pop(_KEY)
    if exclusive:
        cfg.merge_from_dict(changes)
    cfg.model[head].num_classes = len(classes)
    if task != "classification":  # ChestXrayDataset reads the names itself
        for loader in _LOADERS:
            cfg[loader].dataset.metainfo = dict(classes=tuple(classes))
