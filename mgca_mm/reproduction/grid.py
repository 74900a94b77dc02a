"""Cells of the grid, and running them: one process a cell, what is done is not done again."""

import json
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mgca_mm.engine.config import RANDOM
from mgca_mm.files import write_output

from .jobs import command_line
from .settings import SETTINGS, SUBSET_SEED, TABLES, Setting

RESULT = "cell.json"


@dataclass(frozen=True)
class Profile:
    """What the grid runs on.

    Attributes:
        data: Folder of the prepared data sets.
        config: Name of a setting's config, with ``{task}``, ``{name}`` and ``{encoder}``.
        encoders: Encoders to run; None for those of each table.
        cache_features: Encode the images of a classification once, without augmentation.
    """

    data: Path
    config: str = "downstream/{task}/{name}_{encoder}"
    encoders: tuple[str, ...] | None = None
    cache_features: bool = False


@dataclass(frozen=True)
class Cell:
    """One run: a setting, an encoder, how it was initialized, the share of the labels, and two seeds.

    Attributes:
        setting: Data set and task.
        encoder: ``vit`` or ``resnet50``; ``resnet18`` on the phantom.
        init: Initialization, a row of a table.
        percent: Share of the training images.
        seed: Seed of the training.
        subset_seed: Seed of the subset of the training images.
    """

    setting: Setting
    encoder: str
    init: str
    percent: int
    seed: int
    subset_seed: int = SUBSET_SEED

    @property
    def name(self) -> str:
        """Unique name, that of its folder."""
        subset = "" if self.subset_seed == SUBSET_SEED else f"_subset{self.subset_seed}"
        return f"{self.setting.key}/{self.encoder}_{self.init}_{self.percent}pct{subset}_seed{self.seed}"


def cells_of(
    tables: Iterable[str],
    inits: Sequence[str],
    percents: Sequence[int],
    seeds: Sequence[int],
    profile: Profile,
    own_subsets: bool = False,
) -> list[Cell]:
    """Cells of some tables, each once, the cheap ones first so that a figure fills early.

    Args:
        tables: Names of the tables.
        inits: Initializations, of which each table takes those that are its rows.
        percents: Shares of the training images.
        seeds: Seeds of the trainings.
        profile: What to run on.
        own_subsets: Each seed has a subset of its own, instead of all of them that of :data:`SUBSET_SEED`.
    """
    cells: dict[Cell, None] = {}
    for percent in sorted(percents):
        for seed in seeds:
            subset_seed = seed if own_subsets and percent < 100 else SUBSET_SEED
            for table in tables:
                for key, encoders in TABLES[table].encoders.items():
                    for encoder in profile.encoders or encoders:
                        for init in TABLES[table].rows(inits):
                            cells[Cell(SETTINGS[key], encoder, init, percent, seed, subset_seed)] = None
    return list(cells)


def command_of(cell: Cell, folder: Path, checkpoint: str, profile: Profile) -> list[str]:
    """Command line of a cell."""
    name = cell.setting.config or cell.setting.name
    config = profile.config.format(task=cell.setting.task, name=name, encoder=cell.encoder)
    options = {
        "data_root": str(profile.data / cell.setting.data),
        "image_init": checkpoint,
        "randomness.seed": str(cell.seed),
        **cell.setting.subset_option(cell.percent, cell.subset_seed),
        **_task_options(cell, folder, profile),
    }
    changes = [f"{name}={value}" for name, value in options.items()]
    return command_line("train", config, "--test", "--work-dir", folder / cell.name, "--cfg-options", *changes)


def run_cell(
    cell: Cell, folder: Path, checkpoint: str, profile: Profile, environment: Mapping[str, str] | None = None
) -> dict:
    """Run a cell, unless it has run already from the same checkpoint.

    Args:
        cell: The cell.
        folder: Folder of all cells.
        checkpoint: What the encoder starts from: a file, a name or ``random``.
        profile: What to run on.
        environment: Variables of its process; None: those of this one.

    Returns:
        ``score`` in percent (None for a failed cell), all ``metrics``, ``seconds``, ``command`` and ``started_from``.
    """
    work_dir = folder / cell.name
    command = command_of(cell, folder, checkpoint, profile)
    started_from = _identify(checkpoint)
    result_file = work_dir / RESULT
    if result_file.is_file():
        result = json.loads(result_file.read_text(encoding="utf-8"))
        if result["score"] is not None and (result["command"], result["started_from"]) == (command[2:], started_from):
            return result
    work_dir.mkdir(parents=True, exist_ok=True)
    (work_dir / "test.json").unlink(missing_ok=True)
    start = time.monotonic()
    with open(work_dir / "output.txt", "w", encoding="utf-8") as output:
        process = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False, env=environment)
    metrics = json.loads((work_dir / "test.json").read_text()) if process.returncode == 0 else {}
    result = {
        "score": metrics.get(cell.setting.metric),
        "metrics": metrics,
        "seconds": round(time.monotonic() - start, 1),
        "command": command[2:],
        "started_from": started_from,
    }
    write_output(result_file, json.dumps(result, indent=2) + "\n")
    if result["score"] is not None:  # The checkpoints are worth nothing once the number is there.
        for path in work_dir.glob("*.pth"):
            path.unlink()
    return result


def _task_options(cell: Cell, folder: Path, profile: Profile) -> Mapping[str, str]:
    if cell.setting.task == "classification" and profile.cache_features:
        return {"custom_hooks.0.folder": str(folder / "features")}
    if cell.setting.task == "detection" and cell.percent == 1:  # docs/protocol.md#detection
        return {
            "optim_wrapper.optimizer.lr": "2e-4",
            "train_dataloader.batch_size": "8",
            "auto_scale_lr.base_batch_size": "8",
        }
    return {}


def _identify(checkpoint: str) -> str:
    """A checkpoint's name, and its size and time where it is a file."""
    path = Path(checkpoint)
    if checkpoint == RANDOM or not path.is_file():
        return checkpoint
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"
