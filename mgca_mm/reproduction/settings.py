"""The seven downstream settings, the tables of the paper, numbered as there (docs/protocol.md#tables), and own data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mgca_mm.errors import UserError
from mgca_mm.prepared import OWN_CLASSES, read_classes

# The subset of the training images that all runs of a cell share.
SUBSET_SEED = 42


@dataclass(frozen=True)
class Setting:
    """One data set with one task.

    Attributes:
        name: Name of the setting, and of its configs: ``<task>/<name>_<encoder>.py``.
        task: ``classification``, ``detection`` or ``segmentation``.
        data: Name of the data set, which is that of its prepared folder.
        metric: Key in ``test.json``, in percent, more is better.
        title: Heading of its column.
        config: Name of its configs where it is another one.
    """

    name: str
    task: str
    data: str
    metric: str
    title: str
    config: str | None = None

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
        encoders: Its columns: key of a setting → encoders it has there, ``vit`` and ``resnet50``.
        inits: Initializations that are its rows; empty for all but the ablation's own.
    """

    title: str
    encoders: Mapping[str, tuple[str, ...]]
    inits: tuple[str, ...] = ()

    def rows(self, inits: Iterable[str]) -> list[str]:
        """Which of some initializations the table has."""
        return [init for init in inits if (init in self.inits if self.inits else init not in ABLATIONS)]


_LINEAR = ("classification_chexpert", "classification_rsna", "classification_covidx")
_RESNET50, _VIT = ("resnet50",), ("vit",)
TABLES = {
    "table1": Table("Linear classification", dict.fromkeys(_LINEAR, _RESNET50 + _VIT)),
    "table2": Table("Detection", dict.fromkeys(("detection_rsna", "detection_object_cxr"), _RESNET50)),
    "table3": Table("Segmentation", dict.fromkeys(("segmentation_siim", "segmentation_rsna"), _RESNET50)),
    "table4": Table(
        "Ablation of the alignments",
        {**dict.fromkeys(_LINEAR[:2], _VIT), "segmentation_siim": _RESNET50},
        (*ABLATIONS, "mgca"),
    ),
    "table5": Table("BLIP, pretrained on natural images", dict.fromkeys(_LINEAR[:2], _VIT), ("blip", "mgca")),
    "table6": Table("Error bars over three runs", dict.fromkeys(_LINEAR, _VIT), ("mgca",)),
}
# Said to whoever asks for one of them, for both names were in use before.
RENUMBERED = ("table5", "table6")
RENUMBERING = (
    "Tables are numbered as in the paper: table5 is BLIP against MGCA, table6 the error bars. Earlier versions had "
    "these two the other way round, and COVIDx in table2."
)


def add_own_data(word: str) -> str:
    """Add a table of one's own data to :data:`TABLES`, and its setting to :data:`SETTINGS`.

    Args:
        word: ``TASK=DIR``: task and prepared folder, such as ``classification=data/mine``.

    Returns:
        The name of the table, which is the setting's key.

    Raises:
        UserError: The task is unknown, or the folder is none or has nothing for it.
    """
    task, _, folder = word.partition("=")
    if task not in OWN_CLASSES or not folder:
        raise UserError(
            f"'{word}' is no table\nThere are {', '.join(TABLES)} and all, and TASK=DIR for a prepared folder of your "
            f"own; TASK is one of {', '.join(OWN_CLASSES)}."
        )
    _, exclusive = read_classes(folder, task)
    metric, unit = {
        "classification": ("cls/top1", "accuracy") if exclusive else ("cls/macro", "AUROC"),
        "detection": ("det/mAP", "mAP"),
        "segmentation": ("seg/dice", "Dice"),
    }[task]
    path = Path(folder).absolute()
    setting = Setting(path.name, task, str(path), metric, f"{path.name} {unit}", "custom")
    if SETTINGS.setdefault(setting.key, setting) != setting:
        raise UserError(f"'{word}': there is a setting {setting.key} already; give the folder another name")
    TABLES[setting.key] = Table(f"{task.capitalize()} on {path.name}", {setting.key: _RESNET50 + _VIT})
    return setting.key


def require_rows(tables: Iterable[str], inits: Iterable[str]) -> None:
    """Check that each initialization is a row of a table that is asked for.

    Raises:
        UserError: One is a row of none.
    """
    tables = list(tables)
    for init in inits:
        if not any(TABLES[table].rows([init]) for table in tables):
            others = [table for table in TABLES if TABLES[table].rows([init])]
            raise UserError(f"--inits {init}: no row of {', '.join(tables)}; it is one of {', '.join(others)}")
