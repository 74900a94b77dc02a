"""SIGTERM: save and leave."""

import os
import signal
import time
from collections.abc import Callable

import torch.distributed as dist
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import tensor

from mgca_mm.engine.loops import VALIDATED
from mgca_mm.registry import HOOKS

from .checkpoint import SafeCheckpointHook
from .waiting_gradients import gradients_wait

_FORWARDED = 0.5  # seconds within which a second signal is the first one, which torchrun and Slurm hand on to each rank
EXIT_CODE = 128 + signal.SIGTERM  # what a shell reports of a process that SIGTERM has ended


@HOOKS.register_module()
class TerminationHook(Hook):
    """On SIGTERM, saves a checkpoint after the iteration that runs and exits with code 143.

    Schedulers send it before they take a machine away. The ranks agree after each iteration, over the CPU, whether one
    of them has got it, so that all stop after the same one. Ranks that died are left to torchrun. A second SIGTERM ends
    the process at once: the iteration or the saving may never end. Checkpoints are intact at any moment.
    """

    priority = "LOWEST"  # The iteration is complete for every other hook.

    asked = False
    _asked_at = 0.0
    _former = None
    _group = None

    def before_train(self, runner: Runner) -> None:
        """Replace the handler of SIGTERM."""
        self._former = signal.signal(signal.SIGTERM, self._ask)
        if get_world_size() > 1 and dist.get_backend() != "gloo":
            self._group = dist.new_group(backend="gloo")

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Save and exit if asked to; where gradients wait for their step, after it."""
        if not gradients_wait(runner) and self._any_asked():
            self._leave(runner, runner.iter + 1, lambda hook: hook.save_now(runner))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Save and exit if asked to; the validation is made up for after the run is resumed."""
        if self._any_asked():
            runner.message_hub.runtime_info.pop(VALIDATED, None)
            self._leave(runner, runner.iter, lambda hook: hook.save_between_epochs(runner))

    def after_train(self, runner: Runner) -> None:
        """Put the former handler of SIGTERM back."""
        signal.signal(signal.SIGTERM, self._former)

    def _ask(self, number: int, frame) -> None:
        now = time.monotonic()
        if self.asked and now - self._asked_at > _FORWARDED:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._asked_at = self._asked_at if self.asked else now
        self.asked = True

    def _any_asked(self) -> bool:
        asked = tensor(int(self.asked))
        all_reduce(asked, "max", self._group)
        return bool(asked)

    def _leave(self, runner: Runner, iterations: int, save: Callable[[SafeCheckpointHook], None]) -> None:
        hook = next((hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)), None)
        if hook is not None:
            save(hook)
        runner.logger.warning(f"SIGTERM: the run ends after iteration {iterations}; go on with --resume")
        raise SystemExit(EXIT_CODE)
