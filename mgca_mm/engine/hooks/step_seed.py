"""Randomness as a function of the seed and the step, so that there is no state of it to lose."""

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mgca_mm.datasets.seeding import seed_all
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds Python, NumPy, torch and CUDA before each training step, by (seed, iteration, rank).

    What a step draws (dropout, stochastic depth) then depends neither on where a run was interrupted nor on what
    validation or the loading of data have drawn in between. MMEngine saves none of the generators' states.
    """

    priority = "VERY_HIGH"

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seed all generators for the iteration that begins."""
        seed_all(runner.seed, runner.iter, get_rank())
