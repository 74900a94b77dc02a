"""The seven downstream settings, and which of them each table of the paper has."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """One data set with one task.

    Attributes:
        name: Name of the setting, and of its configs: ``<task>/<name>_<encoder>.py``.
        task: ``classification``, ``detection`` or ``segmentation``.
        data: Name of the data set, which is that of its prepared folder.
        metric: Key in ``test.json``, in percent, more is better.
        title: Heading of its column.
    """

    name: str
    task: str
    data: str
    metric: str
    title: str

    @property
    def key(self) -> str:
        """Unique name, such as ``detection_rsna``."""
        return f"{self.task}_{self.name}"

    def subset_option(self, percent: int, seed: int) -> dict[str, str]:
        """Config change that trains on a prepared subset of the images; none for all of them."""
        if percent == 100:
            return {}
        name = f"subsets/train_{percent}pct_seed{seed}"
        if self.task == "classification":
            return {"train_dataloader.dataset.subset": f"{name}.txt"}
        ending = "json" if self.task == "detection" else "txt"
        return {"train_dataloader.dataset.ann_file": f"{self.task}/{name}.{ending}"}


_ALL = (
    Setting("chexpert", "classification", "chexpert", "cls/macro", "CheXpert AUROC"),
    Setting("rsna", "classification", "rsna_pneumonia", "cls/macro", "RSNA AUROC"),
    Setting("covidx", "classification", "covidx", "cls/top1", "COVIDx accuracy"),
    Setting("rsna", "detection", "rsna_pneumonia", "det/mAP", "RSNA mAP"),
    Setting("object_cxr", "detection", "object_cxr", "det/mAP", "Object-CXR mAP"),
    Setting("siim", "segmentation", "siim_pneumothorax", "seg/dice", "SIIM Dice"),
    Setting("rsna", "segmentation", "rsna_pneumonia", "seg/dice", "RSNA Dice"),
)
SETTINGS = {setting.key: setting for setting in _ALL}


# Pretraining with some of the alignments only.
ABLATIONS = ("ita", "ita_cta", "ita_cpa")


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: Heading.
        settings: Keys of its columns.
        encoders: Encoders it has, ``vit`` and ``resnet50``.
        inits: Initialisations that are its rows; empty for all but the ablation's own.
    """

    title: str
    settings: tuple[str, ...]
    encoders: tuple[str, ...]
    inits: tuple[str, ...] = ()

    def rows(self, inits: Iterable[str]) -> list[str]:
        """Which of some initialisations the table has."""
        return [init for init in inits if (init in self.inits if self.inits else init not in ABLATIONS)]


_LINEAR = ("classification_chexpert", "classification_rsna")
TABLES = {
    "table1": Table("Linear classification", _LINEAR, ("resnet50", "vit")),
    "table2": Table(
        "Linear classification and detection",
        ("classification_covidx", "detection_rsna", "detection_object_cxr"),
        ("resnet50",),
    ),
    "table3": Table("Segmentation", ("segmentation_siim", "segmentation_rsna"), ("resnet50",)),
    "table4": Table(
        "Ablation of the alignments", (*_LINEAR, "segmentation_siim"), ("resnet50", "vit"), (*ABLATIONS, "mgca")
    ),
    "table5": Table("Spread over three runs", (*_LINEAR, "classification_covidx"), ("vit",)),
    "table6": Table("Natural images and reports", _LINEAR, ("vit",), ("blip", "mgca")),
}
