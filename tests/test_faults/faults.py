"""Hooks that make something go wrong at a certain step, and one that records what a step did."""

import errno
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import torch
from mmengine.dist import collect_results, get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper


class SignalAfterStep(Hook):
    """Sends a signal to the own process."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step = step
        self.number = number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)


class Raise(Hook):
    """An error of a kind that constructors raise."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        raise ValueError("raised by the test")


class KillOnce(Hook):
    """Kills the own process, on the first rank, unless it did so before."""

    def __init__(self, step, marker):
        self.step, self.marker = step, Path(marker)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step and get_rank() == 0 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class TerminateInValidation(Hook):
    """SIGTERM to the own process when an epoch is validated."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_val_epoch(self, runner):
        if runner.epoch == self.epoch:
            os.kill(os.getpid(), signal.SIGTERM)


class NoSpaceForPointer(Hook):
    """The pointer cannot be written after some epochs, though the checkpoint can."""

    def __init__(self, epochs):
        self.epochs = epochs

    def before_train(self, runner):
        from mgca_mm.engine.hooks import checkpoint

        write = checkpoint.write_atomically

        def fail(path, content):
            if runner.epoch + 1 in self.epochs:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(path, content)

        checkpoint.write_atomically = fail


class Fail(Hook):
    """Raises an error in the first step."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        raise RuntimeError("a fault of the test")


class HangingDisk(Hook):
    """From an epoch on the disk does not answer; a file tells that a process waits for it."""

    def __init__(self, epoch, marker):
        self.epoch, self.marker = epoch, Path(marker)

    def before_train_epoch(self, runner):
        if runner.epoch + 1 == self.epoch:
            os.fsync = self._wait

    def _wait(self, descriptor):
        self.marker.touch()
        time.sleep(600)


class FullDisk(Hook):
    """Files cannot grow beyond a size, in bytes, from the end of an epoch to the end of another one."""

    priority = "HIGHEST"

    def __init__(self, begin, end, limit):
        self.begin, self.end, self.limit = begin, end, limit

    def after_train_epoch(self, runner):
        full = self.begin <= runner.epoch + 1 <= self.end
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit if full else hard, hard))


def unwrapped(runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def digest(runner):
    """Of parameters, buffers and the optimizer's state."""
    found = hashlib.sha256()
    tensors = [*unwrapped(runner).state_dict().values()]
    for state in runner.optim_wrapper.optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, torch.Tensor)]
    for tensor in tensors:
        found.update(tensor.detach().contiguous().numpy().tobytes())
    return found.hexdigest()


class NonFiniteInput(Hook):
    """The images of one rank are NaN in certain steps."""

    def __init__(self, steps, rank):
        self.steps, self.rank = steps, rank
        self.active = False

    def before_train(self, runner):
        unwrapped(runner).image_encoder.register_forward_pre_hook(
            lambda module, args: (args[0] * torch.nan,) if self.active and module.training else None
        )

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.active = runner.iter in self.steps and get_rank() == self.rank


class DoubleImages(Hook):
    """Images in the default type, which may be float64; the data preprocessor makes float32."""

    def before_run(self, runner):
        unwrapped(runner).image_encoder.register_forward_pre_hook(
            lambda module, args: (args[0].to(torch.get_default_dtype()),)
        )


class Record(Hook):
    """Writes down, for each step and rank, the samples, the loss, and digests of the state before and after."""

    priority = "HIGHEST"

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.before = digest(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        step = dict(
            iteration=runner.iter,
            rank=get_rank(),
            samples=[sample.image_id for sample in data_batch["data_samples"]],
            loss=float(outputs["loss"]),
            state_before=self.before,
            state_after=digest(runner),
        )
        with open(Path(runner.work_dir, f"record_{get_rank()}.jsonl"), "a") as file:
            print(json.dumps(step), file=file)


class KillWorker(Hook):
    """Kills a worker of the training loader."""

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


class CountSamples(BaseMetric):
    """How many samples an evaluation has seen."""

    def process(self, data_batch, data_samples):
        self.results += [sample["image_id"] for sample in data_samples]

    def evaluate(self, size):
        results = collect_results(self.results, size, "cpu")
        if results is not None:
            counts = dict(samples=len(results), distinct=len(set(results)))
            Path(self.collect_dir, "counts.json").write_text(json.dumps(counts))
        self.results.clear()
        return {}

    def compute_metrics(self, results):
        return {}


class KillInValidation(Hook):
    """Kills the own process at a moment of the validation of an epoch."""

    def __init__(self, epoch, moment):
        self.epoch, self.moment = epoch, moment

    def before_val_epoch(self, runner):
        self._kill(runner, "before_val_epoch")

    def after_val_epoch(self, runner, metrics=None):
        self._kill(runner, "after_val_epoch")

    def _kill(self, runner, moment):
        if (runner.epoch, moment) == (self.epoch, self.moment):
            os.kill(os.getpid(), signal.SIGKILL)
