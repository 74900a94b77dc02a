"""Steps whose loss or gradients are not finite."""

from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mgca_mm.datasets.identity import pseudonym
from mgca_mm.distributed import unwrapped
from mgca_mm.engine.param_groups import without_parameters
from mgca_mm.errors import UserError
from mgca_mm.registry import HOOKS

from .checkpoint import SafeCheckpointHook


@dataclass
class _Step:
    """A step of the optimizer, of one iteration or of several that accumulate gradients."""

    epoch: int
    iteration: int  # the first
    schedulers: list[dict]  # their states and the optimizer's settings before the step
    settings: list[dict]
    samples: list[str] = field(default_factory=list)
    skipped: Tensor | None = None  # on the host, written when the event has happened
    event: torch.cuda.Event | None = None

    def is_known(self) -> bool:
        return self.event is None or self.event.query()


@HOOKS.register_module()
class NonFiniteGuardHook(Hook):
    """Skips a step, on all ranks, in which a loss or gradient of any rank is NaN or infinite.

    Parameters, optimizer and running statistics stay bit for bit what they were. After ``max_in_a_row`` such steps the
    run ends with a checkpoint of the state before the first of them: ``--resume`` with it takes the same step with the
    same samples again, since order and randomness follow from the seed. Iterations that accumulate gradients are one
    step. With a float16 loss scaler, which skips such steps by itself, the hook does nothing.

    A fused optimizer on a GPU skips by itself (the flag stays on the device, and the host learns of it a step later,
    without waiting); any other one needs the host to look at the flag at each step.

    Args:
        max_in_a_row: Skipped steps in a row that end the run.
        set_in_forward: Ends of the names of parameters that a forward pass itself changes.

    Raises:
        ValueError: ``max_in_a_row`` is below 1.
        UserError: After ``max_in_a_row`` skipped steps.
    """

    priority = "ABOVE_NORMAL"

    def __init__(self, max_in_a_row: int = 3, set_in_forward: tuple[str, ...] = ("prototypes",)):
        if max_in_a_row < 1:
            raise ValueError(f"max_in_a_row must be at least 1, got {max_in_a_row}")
        self.max_in_a_row = max_in_a_row
        self.set_in_forward = tuple(set_in_forward)
        self.skipped = 0
        self._watched: list[Tensor] = []
        self._kept: list[Tensor] | None = None  # of what is watched, once anything is
        self._row: list[_Step] = []
        self._begun: _Step | None = None
        self._pending: deque[_Step] = deque()
        self._loss_is_finite: Tensor | None = None
        self._flag: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        """Watch the model's losses and the optimizer's steps."""
        if getattr(runner.optim_wrapper, "loss_scaler", None) is not None:
            return  # float16 with a scaler, which skips such steps as a matter of course
        self.skipped = runner.message_hub.get_info("skipped_steps", 0)
        model = unwrapped(runner.model)
        parameters = [p for name, p in model.named_parameters() if name.endswith(self.set_in_forward)]
        self._watched = [*parameters, *model.buffers()]
        self._kept = [torch.empty_like(tensor) for tensor in self._watched]
        model.register_forward_hook(self._look_at_losses)
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._look_at_gradients)

    @torch.no_grad()
    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Keep what the forward pass changes, from before the first of the iterations that make a step."""
        if self._kept is None:
            return
        if self._begun is None:
            schedulers = [deepcopy(scheduler.state_dict()) for scheduler in runner.param_schedulers or []]
            settings = [without_parameters(group) for group in runner.optim_wrapper.optimizer.param_groups]
            self._begun = _Step(runner.epoch, runner.iter, schedulers, settings)
            self._loss_is_finite = None
            if self._kept:
                torch._foreach_copy_(self._kept, self._watched)
        self._flag = None
        if isinstance(data_batch, dict):
            self._begun.samples += [_name(sample) for sample in data_batch.get("data_samples", [])]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Count what the host knows by now."""
        if self._flag is None:
            return
        step, self._begun = self._begun, None
        step.skipped, step.event = _to_host(self._flag)
        self._pending.append(step)
        while self._pending and self._pending[0].is_known():
            self._count(runner, self._pending.popleft())

    def _look_at_losses(self, model, args, outputs) -> None:
        if not model.training or not isinstance(outputs, dict):
            return
        losses = [value for name, value in outputs.items() if "loss" in name]
        flat = [tensor for value in losses for tensor in (value if isinstance(value, list | tuple) else [value])]
        sums = [tensor.detach().float().sum() for tensor in flat if isinstance(tensor, Tensor)]
        if sums:
            finite = torch.stack(sums).isfinite().all()
            self._loss_is_finite = finite if self._loss_is_finite is None else finite & self._loss_is_finite

    @torch.no_grad()
    def _look_at_gradients(self, optimizer, args, kwargs) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        largest = torch.nn.utils.get_total_norm([p.grad for p in parameters], norm_type=torch.inf)
        finite = largest.isfinite()
        if self._loss_is_finite is not None:
            finite = finite & self._loss_is_finite
        flag = (~finite).float()
        if get_world_size() > 1:
            dist.all_reduce(flag, dist.ReduceOp.MAX)
        self._flag = flag
        if flag.is_cuda and optimizer.defaults.get("fused"):
            optimizer.found_inf = flag
            for kept, tensor in zip(self._kept, self._watched, strict=True):
                tensor.copy_(torch.where(flag.bool(), kept, tensor))
        elif flag.item():
            for parameter in parameters:
                parameter.grad = None  # which every optimizer passes over
            if self._kept:
                torch._foreach_copy_(self._watched, self._kept)

    def _count(self, runner: Runner, step: _Step) -> None:
        if not step.skipped.item():
            self._row.clear()
            return
        self.skipped += 1
        self._row.append(step)
        runner.message_hub.update_info("skipped_steps", self.skipped)
        runner.logger.warning(
            f"Step {step.iteration + 1} was skipped: a loss or gradient is not finite ({len(self._row)} in a row, "
            f"{self.skipped} in all). Samples of this rank: {' '.join(step.samples)}"
        )
        if len(self._row) == self.max_in_a_row:
            self._stop(runner)

    def _stop(self, runner: Runner) -> None:
        first = self._row[0]
        name = f"nonfinite_iter_{first.iteration}.pth"
        told = "No checkpoint of the state before the first one is written: the run has no hook for checkpoints."
        if any(isinstance(hook, SafeCheckpointHook) for hook in runner.hooks):
            for scheduler, state in zip(runner.param_schedulers or [], first.schedulers, strict=True):
                scheduler.load_state_dict(state)
            for group, settings in zip(runner.optim_wrapper.optimizer.param_groups, first.settings, strict=True):
                group.update(settings)
            meta = dict(epoch=first.epoch, iter=first.iteration)
            try:
                runner.save_checkpoint(runner.work_dir, name, meta=meta, by_epoch=False)
                told = f"{name} in the work dir holds the state before the first one: --resume with it takes it again."
            except OSError as error:
                told = f"The state before the first one could not be written ({error.strerror})."
        raise UserError(
            f"{self.max_in_a_row} steps in a row had a loss or gradient that is not finite; training ends.\n{told}\n"
            "Lower the learning rate, or look at the samples named in the log."
        )


def _to_host(flag: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Copy a flag without waiting for it, and the event after which it is there."""
    if not flag.is_cuda:
        return flag, None
    host = torch.empty_like(flag, device="cpu", pin_memory=True)
    host.copy_(flag, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return host, event


def _name(sample) -> str:
    for key in ("image_id", "img_id", "img_path"):
        if getattr(sample, key, None) is not None:
            return pseudonym(str(getattr(sample, key)), getattr(sample, "data_root", None))
    return "sample"
