"""The grid's data sets and encoders where nothing real is at hand: made from the phantom."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from mgca_mm.checkpoints.selection import select_checkpoint

from .grid import Profile
from .jobs import command_line

IMAGE_SIZE = 128
# Patients a layout. RSNA's and SIIM's images are drawn at 1024 x 1024, a third of a second each.
_PATIENTS = {
    "mimic_cxr": 2000,
    "chexpert": 1000,
    "rsna_pneumonia": 1000,
    "covidx": 1000,
    "object_cxr": 1500,
    "siim_pneumothorax": 600,
}
# Different patients for pretraining and for the tasks.
_SEEDS = {name: seed for seed, name in enumerate(_PATIENTS, start=1)}
# Initialization → name of the config that makes it.
_METHODS = (
    *("convirt", "gloria", "vsepp", "dsve", "contrastive_binary"),
    *("caption_lstm", "caption_transformer", "clip", "siglip"),
    *("m_flag", "medclip", "mgca_identical"),
    *("mgca_caption", "siglip_caption", "lofi"),
)
PRETRAINING = {
    "mgca": "quickstart/pretrain_resnet18",
    **{name: f"quickstart/pretrain_{name}_resnet18" for name in _METHODS},
    "ita": "quickstart/ablation_ita_resnet18",
    "ita_cta": "quickstart/ablation_ita_cta_resnet18",
    "ita_cpa": "quickstart/ablation_ita_cpa_resnet18",
    "mgca_same_labels": "quickstart/ablation_mgca_same_labels_resnet18",
}


def profile_of(folder: Path) -> Profile:
    """The quickstart's configs on the phantom's data."""
    return Profile(folder / "data", "quickstart/{task}_{name}", ("resnet18",), cache_features=True)


def make_data(folder: Path, names: set[str], workers: int) -> None:
    """Write and prepare the phantom in the layouts of some data sets; what is there is left alone.

    Raises:
        subprocess.CalledProcessError: A step failed; it has said why.
    """
    for name in sorted(names):
        raw, out = folder / "raw" / name, folder / "data" / name
        size = ("--patients", _PATIENTS[name], "--seed", _SEEDS[name])
        _run("phantom", "--layout", name, "--out", raw, *size, "--workers", workers)
        _run("prepare", name, "--raw", raw, "--out", out, "--image-size", IMAGE_SIZE, "--vocab-size", 2000)


def pretrain(folder: Path, init: str, environment: Mapping[str, str] | None = None) -> str:
    """Checkpoint of an encoder pretrained on the phantom, which is made if it is not there.

    Args:
        folder: Folder of the phantom's data and encoders.
        init: Key of :data:`PRETRAINING`.
        environment: Variables of the process; None: those of this one.

    Returns:
        The file of the lowest validation loss.

    Raises:
        subprocess.CalledProcessError: The run failed; its log is in the run's folder.
    """
    work_dir = folder / "pretraining" / init
    if not (work_dir / "epoch_6.pth").is_file():
        options = ["--resume"] if (work_dir / "last_checkpoint").is_file() else []
        data = f"data_root={folder / 'data' / 'mimic_cxr'}"
        arguments = (PRETRAINING[init], "--work-dir", work_dir, *options, "--cfg-options", data)
        _run("train", *arguments, environment=environment)
    return select_checkpoint(work_dir)


def _run(command: str, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
    """Run one of our commands; the noise of MMEngine's start is left to its log file."""
    quiet = subprocess.DEVNULL if command == "train" else None
    subprocess.run(command_line(command, *arguments), check=True, stdout=quiet, env=environment)
