"""When checkpoints are written and removed: never one before the other is safe."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mgca_mm.checkpoints.writing import POINTER, remove_checkpoint, remove_partial_files, write_atomically
from mgca_mm.errors import UserError

Rule = Literal["greater", "less"]
_MAX_FAILURES = 3
_LEAST_KEPT = 2
_INTERRUPTED = "interrupted_ckpt"  # of the message hub, which travels in checkpoints


@HOOKS.register_module(name="CheckpointHook", force=True)
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, which this one replaces under its name, in an order that a kill cannot hurt.

    MMEngine removes the oldest and the former best checkpoint before it writes the new ones, and overwrites the pointer
    to the last one in place. Here the new checkpoint is written (whole, by :class:`AtomicLocalBackend`), then the
    pointer, and then the old ones go, of which two are kept at least.

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
        self._failures = 0

    def before_train(self, runner: Runner) -> None:
        """Find the folder and clear what killed runs have left in it."""
        keep, self.max_keep_ckpts = self.max_keep_ckpts, -1  # MMEngine would remove here, too
        super().before_train(runner)
        self.max_keep_ckpts = keep
        self.kept = list(runner.message_hub.runtime_info.get("keep_ckpt_ids", []))
        if is_main_process() and os.path.isdir(self.out_dir):
            remove_partial_files(self.out_dir)

    def save_now(self, runner: Runner) -> None:
        """Save in the middle of an epoch, after the iteration that has just run; the next checkpoint removes it."""
        self._save_interrupted(runner, runner.iter + 1)

    def save_between_epochs(self, runner: Runner) -> None:
        """Save while the epoch that has just ended is validated, unless this was done when it ended."""
        saved = self.kept[-1:] == [runner.epoch if self.by_epoch else runner.iter]
        if not saved:
            self._save_interrupted(runner, runner.iter)

    def _save_interrupted(self, runner: Runner, iterations: int) -> None:
        name = f"iter_{iterations}.pth"
        runner.message_hub.update_info(_INTERRUPTED, os.path.join(self.out_dir, name))
        self._write(runner, name, dict(epoch=runner.epoch, iter=iterations))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        kept = self.kept if step in self.kept else [*self.kept, step]
        keep = max(self.max_keep_ckpts, _LEAST_KEPT) if self.max_keep_ckpts > 0 else len(kept)
        # What is removed below is no longer named in the checkpoint that is written before.
        runner.message_hub.update_info("keep_ckpt_ids", kept[-keep:])
        interrupted = runner.message_hub.runtime_info.pop(_INTERRUPTED, None)
        if not self._write(runner, self.filename_tmpl.format(step), meta):
            runner.message_hub.update_info("keep_ckpt_ids", self.kept)
            if interrupted is not None:
                runner.message_hub.update_info(_INTERRUPTED, interrupted)
            return
        surplus, self.kept = kept[:-keep], kept[-keep:]
        if is_main_process():
            for old in [self.filename_tmpl.format(number) for number in surplus] + [interrupted]:
                if old is not None and os.path.basename(old) != os.path.basename(self.last_ckpt):
                    remove_checkpoint(Path(self.out_dir, os.path.basename(old)))

    def _write(self, runner: Runner, name: str, meta: dict) -> bool:
        """Write a checkpoint and point to it; False if there is no space for it."""
        former, self.last_ckpt = self.last_ckpt, os.path.join(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)

        def save() -> None:
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                self._point(runner, former)

        written = self._try(runner, name, save)
        if not written:
            self.last_ckpt = former
            runner.message_hub.update_info("last_ckpt", former)
        return written

    def _try(self, runner: Runner, name: str, save: Callable[[], None]) -> bool:
        """Save on the main process; whether it went well, on all."""
        reason = [None]
        try:
            save()
        except OSError as error:
            reason = [error.strerror or type(error).__name__]
        broadcast_object_list(reason)
        if reason[0] is None:
            self._failures = 0
            return True
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

    def _point(self, runner: Runner, former: str | None) -> None:
        """Let the pointer move on from the former checkpoint to the one that was just written."""
        try:
            write_atomically(Path(runner.work_dir, POINTER), self.last_ckpt.encode())
        except OSError:
            if former != self.last_ckpt:
                remove_checkpoint(self.last_ckpt)  # which nothing would find or remove later
            raise

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """As MMEngine's, with a former best checkpoint removed last."""
        if not self.save_best:
            return
        if "auto" in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
        former = []
        for key, rule in zip(self.key_indicators, self.rules, strict=True):
            suffix = "" if len(self.key_indicators) == 1 else f"_{key}"
            best = runner.message_hub.runtime_info.get(f"best_score{suffix}", self.init_value_map[rule])
            if metrics[key] is not None and self.is_better_than[key](metrics[key], best):
                former += self._replace_best(runner, key, suffix, metrics[key])
        if not former:
            return
        if self.last_ckpt is not None:  # once more, so that what a run resumes from knows of the best one
            step = runner.epoch if self.by_epoch else runner.iter
            self._save_checkpoint_with_step(runner, step, dict(epoch=runner.epoch, iter=runner.iter))
        if is_main_process():
            for path in filter(None, former):
                remove_checkpoint(path)

    def _replace_best(self, runner: Runner, key: str, suffix: str, score: float) -> list[str | None]:
        """Save the best checkpoint of a metric; the path of the former one (or None), nothing if that failed."""
        info = runner.message_hub.runtime_info
        before = {name: info.get(name) for name in (f"best_score{suffix}", f"best_ckpt{suffix}")}
        step = runner.epoch if self.by_epoch else runner.iter
        name = f"best_{key}_{self.filename_tmpl.format(step)}".replace("/", "_")
        path = os.path.join(self.out_dir, name)
        info.update({f"best_score{suffix}": score, f"best_ckpt{suffix}": path})
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        settings = dict(save_optimizer=False, save_param_scheduler=False, meta=meta, by_epoch=False)
        if not self._try(runner, name, lambda: runner.save_checkpoint(self.out_dir, name, **settings)):
            info.update(before)
            for key in [key for key, value in before.items() if value is None]:
                del info[key]
            return []
        if suffix:
            self.best_ckpt_path_dict[key] = path
        else:
            self.best_ckpt_path = path
        runner.logger.info(f"The best checkpoint so far, {key} {score:0.4f}, is saved to {name}.")
        former = before[f"best_ckpt{suffix}"]
        return [former if former and os.path.basename(former) != name else None]
