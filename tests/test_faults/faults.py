"""Hooks that make something go wrong at a certain step."""

import os
import signal

from mmengine.hooks import Hook


class SignalAfterStep(Hook):
    """Sends a signal to the own process."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step = step
        self.number = number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)
