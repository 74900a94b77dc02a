"""When checkpoints are written and removed: never one before the other is safe."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mgca_mm.checkpoints.writing import POINTER, numbered, remove_checkpoint, remove_partial_files
from mgca_mm.errors import UserError
from mgca_mm.files import write_atomically

Rule = Literal["greater", "less"]
_MAX_FAILURES = 3
_LEAST_KEPT = 2
_INTERRUPTED_NAME = "iter_{}.pth"
# Of the message hub, which travels in checkpoints.
_INTERRUPTED = "interrupted_ckpt"
_FORMER_BEST = "former_best_ckpts"


class SafeCheckpointHook(CheckpointHook):
    """``CheckpointHook`` in an order that a kill cannot hurt.

    :func:`mgca_mm.engine.install` puts it in the place of MMEngine's, which removes the oldest and the former best
    checkpoint before it writes the new ones, and overwrites the pointer to the last one in place. Here the new
    checkpoint is written (whole, by :class:`AtomicLocalBackend`), then the pointer, and then the old ones go, of which
    two are kept at least. After a validation the checkpoint of its epoch is written once more, so that a run that is
    resumed knows its result and does not repeat it.

    A checkpoint that cannot be written, as on a full disk, is an error in the log while training goes on; three in a
    row end the run.

    Args:
        rule: Whether a metric of ``save_best`` is better when it is greater or less, one for each of them.
        **kwargs: As in :class:`mmengine.hooks.CheckpointHook`; local folders only.

    Raises:
        UserError: After three failures in a row.
    """

    def __init__(self, rule: Rule | Sequence[Rule] | None = None, **kwargs):
        super().__init__(rule=rule, **kwargs)
        if self.interval < 1 and self.interval != -1:
            raise ValueError(f"interval must be at least 1, or -1 for never, got {self.interval}")
        self._failures = 0
        self.kept: list[int] | None = None  # outside of a training

    def before_train(self, runner: Runner) -> None:
        """Find the folder, take up what the checkpoint says of it, and clear what killed runs have left in it."""
        keep, self.max_keep_ckpts = self.max_keep_ckpts, -1  # MMEngine would remove here, too
        super().before_train(runner)
        self.max_keep_ckpts = keep
        info = runner.message_hub.runtime_info
        self.kept = list(info.get("keep_ckpt_ids", []))
        for name in [name for name, value in info.items() if "ckpt" in name and isinstance(value, str)]:
            info[name] = os.path.join(self.out_dir, os.path.basename(info[name]))
        for name in ("last_ckpt", _INTERRUPTED):
            if not self._is_own(info.get(name, "")):
                info.pop(name, None)  # lest a file be removed that no training has written
        self.last_ckpt = info.get("last_ckpt")
        former = info.pop(_FORMER_BEST, [])
        if is_main_process() and os.path.isdir(self.out_dir):
            remove_partial_files(self.out_dir)
            self._remove(former)
        self._forget_lost_best(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Save what is best, and write down the validation in what a run would be resumed from."""
        if self.kept is None:
            return
        former = self._save_best_checkpoint(runner, metrics) if self.save_best and metrics else []
        info = runner.message_hub.runtime_info
        step = self._done(runner)
        if former:
            runner.message_hub.update_info(_FORMER_BEST, list(filter(None, former)))
        if self.kept[-1:] == [step] or (former and self.kept):
            self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))
        elif os.path.basename(info.get(_INTERRUPTED, "")) == _INTERRUPTED_NAME.format(runner.iter):
            self._save_interrupted(runner, runner.iter)
        info.pop(_FORMER_BEST, None)
        if is_main_process():
            self._remove(filter(None, former))

    def save_now(self, runner: Runner) -> None:
        """Save in the middle of an epoch, after the iteration that has just run; the next checkpoint removes it."""
        if self.by_epoch or self.kept[-1:] != [runner.iter + 1]:
            self._save_interrupted(runner, runner.iter + 1)

    def save_between_epochs(self, runner: Runner) -> None:
        """Save while the epoch that has just ended is validated, unless this was done when it ended."""
        if self.kept[-1:] != [self._done(runner)]:
            self._save_interrupted(runner, runner.iter)

    def _save_interrupted(self, runner: Runner, iterations: int) -> None:
        name = _INTERRUPTED_NAME.format(iterations)
        changes = {_INTERRUPTED: os.path.join(self.out_dir, name)}
        self._write(runner, name, dict(epoch=runner.epoch, iter=iterations), changes)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        kept = self.kept if step in self.kept else [*self.kept, step]
        keep = max(self.max_keep_ckpts, _LEAST_KEPT) if self.max_keep_ckpts > 0 else len(kept)
        interrupted = runner.message_hub.runtime_info.get(_INTERRUPTED)
        # What is removed below is no longer named in the checkpoint that is written before.
        changes = {"keep_ckpt_ids": kept[-keep:], _INTERRUPTED: None}
        if not self._write(runner, self.filename_tmpl.format(step), meta, changes):
            return
        surplus, self.kept = kept[:-keep], kept[-keep:]
        if is_main_process():
            for old in [self.filename_tmpl.format(number) for number in surplus] + [interrupted]:
                if old is not None and os.path.basename(old) != os.path.basename(self.last_ckpt):
                    remove_checkpoint(Path(self.out_dir, os.path.basename(old)))

    def _write(self, runner: Runner, name: str, meta: dict, changes: Mapping[str, Any]) -> bool:
        """Write a checkpoint and point to it; False if there is no space for it."""
        path = os.path.join(self.out_dir, name)
        options = dict(save_optimizer=self.save_optimizer, save_param_scheduler=self.save_param_scheduler, meta=meta)
        options |= dict(by_epoch=self.by_epoch, backend_args=self.backend_args, **self.args)
        written = self._try(runner, name, {**changes, "last_ckpt": path}, **options)
        if written:
            self.last_ckpt = path
        return written

    def _try(self, runner: Runner, name: str, changes: Mapping[str, Any], **options) -> bool:
        """Save, and change what the message hub says (None: take it away); where that fails, change nothing."""
        reason = [None]
        before = {key: runner.message_hub.get_info(key) for key in changes}
        _update(runner, changes)
        try:
            runner.save_checkpoint(self.out_dir, name, **options)
            if "last_ckpt" in changes and is_main_process():
                self._point(runner, changes["last_ckpt"])
        except OSError as error:
            reason = [error.strerror or type(error).__name__]
        broadcast_object_list(reason)
        if reason[0] is None:
            self._failures = 0
            return True
        _update(runner, before)
        self._failures += 1
        runner.logger.error(
            f"Checkpoint {name} could not be written ({reason[0]}), failure {self._failures} of {_MAX_FAILURES} in a "
            "row; the earlier ones are untouched and training goes on. Make space."
        )
        if self._failures == _MAX_FAILURES:
            raise UserError(
                f"{_MAX_FAILURES} checkpoints in a row could not be written ({reason[0]}): training ends, lest more be "
                "lost.\nMake space in the work dir and go on with --resume."
            )
        return False

    def _point(self, runner: Runner, path: str) -> None:
        """Let the pointer move on to the checkpoint that was just written."""
        try:
            write_atomically(Path(runner.work_dir, POINTER), path.encode())
        except OSError:
            if path != self.last_ckpt:
                remove_checkpoint(path)  # which nothing would find or remove later
            raise

    def _forget_lost_best(self, runner: Runner) -> None:
        """Let the next validation be the best one where the file of the best so far is gone, and say so."""
        info = runner.message_hub.runtime_info
        best = [name for name in info if name.startswith("best_ckpt")]
        lost = [[name for name in best if not self._is_own(info[name]) or not os.path.isfile(info[name])]]
        broadcast_object_list(lost)
        for name in lost[0]:
            runner.logger.warning(
                f"{os.path.basename(info[name])}, the best checkpoint so far, is not there any more, or not of this "
                "run: the next validation counts as the best"
            )
            del info[name]
            info.pop(name.replace("best_ckpt", "best_score"), None)

    def _remove(self, paths: Iterable[str]) -> None:
        """Remove best checkpoints of this run, which files of other names are not."""
        for path in filter(self._is_own, paths):
            if os.path.basename(path).startswith("best_"):
                remove_checkpoint(Path(self.out_dir, os.path.basename(path)))

    def _is_own(self, path: str) -> bool:
        """Whether a file has a name that this hook gives."""
        own, interrupted = map(numbered, (self.filename_tmpl, _INTERRUPTED_NAME))
        keys = self.key_indicators if self.save_best else []
        metrics = "|".join(".+" if key == "auto" else re.escape(_in_names(key)) for key in keys)
        return bool(re.fullmatch(f"{own}|{interrupted}|best_({metrics})_{own}", os.path.basename(path)))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> list[str | None]:
        """Save the new best checkpoints; for each one the path of the former, or None."""
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        info, former = runner.message_hub.runtime_info, []
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        settings = dict(save_optimizer=False, save_param_scheduler=False, meta=meta, by_epoch=False)
        for key, rule in zip(self.key_indicators, self.rules, strict=True):
            suffix, score = "" if len(self.key_indicators) == 1 else f"_{key}", metrics[key]
            best = info.get(f"best_score{suffix}", self.init_value_map[rule])
            if score is None or not self.is_better_than[key](score, best):
                continue
            name = f"best_{_in_names(key)}_{self.filename_tmpl.format(self._done(runner))}"
            before, path = info.get(f"best_ckpt{suffix}"), os.path.join(self.out_dir, name)
            if not self._try(runner, name, {f"best_score{suffix}": score, f"best_ckpt{suffix}": path}, **settings):
                continue
            if suffix:
                self.best_ckpt_path_dict[key] = path
            else:
                self.best_ckpt_path = path
            runner.logger.info(f"The best checkpoint so far, {key} {score:0.4f}, is saved to {name}.")
            former.append(before if before and os.path.basename(before) != name else None)
        return former

    def _done(self, runner: Runner) -> int:
        """Epochs or iterations so far, by which checkpoints are numbered."""
        return runner.epoch if self.by_epoch else runner.iter


def _update(runner: Runner, changes: Mapping[str, Any]) -> None:
    """Change what the message hub says; None: take it away."""
    for key, value in changes.items():
        if value is None:
            runner.message_hub.runtime_info.pop(key, None)
        else:
            runner.message_hub.update_info(key, value)


def _in_names(key: str) -> str:
    """A metric in the name of a file."""
    return key.replace("/", "_")
