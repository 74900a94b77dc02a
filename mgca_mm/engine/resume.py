"""What a run that is resumed takes from its checkpoint and what from its config.

Weights, the optimizer's moments, counters and what was decided so far are the checkpoint's. What the config says is the
config's: where it has changed, the run goes on as it says now, and each change is a line of the log. The seed alone
stays the checkpoint's, since the order of the samples follows from it.
"""

import copy
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import Dataset

from mgca_mm.datasets.samplers import ReproducibleSampler
from mgca_mm.errors import UserError
from mgca_mm.prepared import MANIFEST

from .batch import samples_a_step, samples_an_iteration
from .loops import VALIDATED
from .param_groups import without_parameters
from .resumable import PLACE, is_kept, settings_in

_SECTIONS = (
    *("model", "train_dataloader", "val_dataloader", "val_evaluator", "train_cfg", "optim_wrapper", "param_scheduler"),
    *("auto_scale_lr", "default_hooks", "custom_hooks", "randomness"),
)
# How the data are read and how often a line is written changes no result.
_WITHOUT_EFFECT = ("num_workers", "persistent_workers", "pin_memory", "prefetch_factor", "logger.interval")
_MAX_TOLD = 30
_ABSENT = object()


def settings_of(runner: Runner) -> dict[str, Any]:
    """What a run depends on, flat: its config, its batches, its ranks, and a digest of its training data."""
    loader = runner.train_loop.dataloader
    flat = [setting for section in _SECTIONS for setting in _flat(runner.cfg.get(section), section)]
    return {name: value for name, value in flat if not name.endswith(_WITHOUT_EFFECT)} | {
        "batches an epoch": len(loader),
        "samples a step": samples_a_step(runner),
        "samples an iteration": samples_an_iteration(runner),
        "ranks": get_world_size(),
        "training data": digest_of(loader.dataset),
    }


def digest_of(dataset: Dataset) -> str:
    """Fingerprint of the data of a data set: of its size, its manifest, or else its annotations."""
    found = hashlib.sha256(str(len(dataset)).encode())
    parts = getattr(dataset, "datasets", [getattr(dataset, "dataset", dataset)])
    pools = [part.pool for part in parts if getattr(part, "pool", None) is not None]  # of reports that are drawn
    for part in [*parts, *pools]:
        annotations = Path(str(getattr(part, "ann_file", "")))
        for path in (Path(str(getattr(part, "data_root", None) or "")) / MANIFEST, annotations):
            if path.is_file():
                found.update(path.read_bytes())
                break
    return found.hexdigest()[:16]


class Resumption:
    """Schedule, optimizer's settings and place of a run as its config has them, before a checkpoint is read."""

    def __init__(self, runner: Runner):
        self.runner = runner
        self.settings = settings_of(runner)
        self.groups = [without_parameters(group) for group in runner.optim_wrapper.param_groups]
        self.schedulers = runner.param_schedulers or []
        self.schedules = [copy.deepcopy(scheduler.state_dict()) for scheduler in self.schedulers]

    def settle(self, schedules: list[dict[str, Any]]) -> None:
        """Give a run, which a checkpoint with these states of schedulers was loaded into, what its config says.

        Raises:
            UserError: The run stands in the middle of an epoch, of which the batches or the data are others now.
        """
        info = self.runner.message_hub.runtime_info
        former = settings_in(info)
        self._log_changes(former)
        moved = self._place(former)
        schedulers = self.schedulers
        scheduled = {"lr", *(scheduler.param_name for scheduler in schedulers)}
        scheduled |= {"betas"} if "momentum" in scheduled else set()
        for group, own in zip(self.runner.optim_wrapper.param_groups, self.groups, strict=True):
            group.update({name: value for name, value in own.items() if name not in scheduled})
        known, wanted = (
            [{name: _plain(value) for name, value in state.items() if name not in PLACE} for state in states]
            for states in (schedules, self.schedules)
        )
        both = list(zip(schedulers, schedules, strict=False))
        kept = any(is_kept(scheduler, schedule) for scheduler, schedule in both)
        if kept:
            self.runner.logger.warning("The schedule depends on what was measured: it is the checkpoint's")
        if kept or (not moved and known == wanted and schedulers):
            # The checkpoint's place in the same schedule, bit for bit.
            for scheduler, schedule in both:
                scheduler.load_state_dict(schedule)
        elif not any(getattr(scheduler, "need_val_args", False) for scheduler in schedulers):
            self._follow_schedule()

    def _log_changes(self, former: Mapping[str, Any]) -> None:
        """A line of the log for each setting that is not the checkpoint's."""
        if "ranks" not in former:
            return
        both = {**former, **self.settings}
        names = [name for name in both if former.get(name, _ABSENT) != self.settings.get(name, _ABSENT)]
        for name in names[:_MAX_TOLD]:
            kept = "; the checkpoint's is kept" if name == "randomness.seed" else ""
            sources = (former, self.settings)
            before, now = (f"{source[name]!r:.120}" if name in source else "not there" for source in sources)
            self.runner.logger.warning(f"Changed since the checkpoint: {name} was {before}, is {now}{kept}")
        if len(names) > _MAX_TOLD:
            self.runner.logger.warning(f"Changed since the checkpoint: {len(names) - _MAX_TOLD} settings more")

    def _place(self, former: Mapping[str, Any]) -> bool:
        """Find the iteration at which this run stands; whether it is another one than the checkpoint's."""
        loop, info = self.runner.train_loop, self.runner.message_hub.runtime_info
        if isinstance(loop, IterBasedTrainLoop):
            return False
        length = former.get("batches an epoch", self.settings["batches an epoch"])
        decisive = ("batches an epoch", "samples an iteration", "training data")
        changed = [name for name in decisive if former.get(name, self.settings[name]) != self.settings[name]]
        done = loop.iter - loop.epoch * length
        if changed and done not in (0, length):
            change = ", ".join(f"{name} {former[name]} before, {self.settings[name]} now" for name in changed)
            raise UserError(
                f"The checkpoint stands in the middle of an epoch, which has other batches now: {change}.\nResume "
                f"with train_dataloader.batch_size × ranks = {former['samples an iteration']} and the same data, or "
                "from the checkpoint of an epoch: --resume FILE"
            )
        iteration = loop.iter
        if changed:
            iteration = (loop.epoch + done // length) * len(loop.dataloader)
        elif done and not isinstance(sampler := loop.dataloader.sampler, ReproducibleSampler):
            self.runner.logger.warning(
                f"{done} iterations of this epoch are done again: {type(sampler).__name__} always starts at its "
                "beginning. Use train_dataloader.sampler.type='mgca_mm.ReproducibleSampler'."
            )
            iteration = loop.epoch * length
        moved = iteration != loop.iter
        if moved and info.get(VALIDATED) == loop.iter:
            self.runner.message_hub.update_info(VALIDATED, iteration)
        loop._iter = iteration
        return moved

    def _follow_schedule(self) -> None:
        """Let the schedulers of the config take every step up to where the run stands.

        They compute a rate from the one before, so that there is no shorter way.
        """
        loop = self.runner.train_loop
        for scheduler, schedule in zip(self.schedulers, self.schedules, strict=True):
            scheduler.load_state_dict(schedule)
        for group, own in zip(self.runner.optim_wrapper.param_groups, self.groups, strict=True):
            group.update(own)
        length = None if isinstance(loop, IterBasedTrainLoop) else len(loop.dataloader)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the optimizer has not stepped between them
            for iteration in range(1, min(loop.iter, loop.max_iters) + 1):
                ends_epoch = length and iteration % length == 0 and iteration // length <= loop.epoch
                for scheduler in self.schedulers:
                    if not scheduler.by_epoch or ends_epoch:
                        scheduler.step()


def _plain(value: Any) -> Any:
    """A value that is equal to itself after it was saved and read."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or type(value) in (bool, int, float, str) else str(value)


def _flat(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Dotted name → value, of a nested config."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}")
    elif isinstance(node, list | tuple) and any(isinstance(item, Mapping) for item in node):
        for number, value in enumerate(node):
            yield from _flat(value, f"{path}.{number}")
    else:
        yield path, _plain(node)
