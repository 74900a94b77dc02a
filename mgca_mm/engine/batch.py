"""How many samples of all ranks make a step of the optimizer, and the learning rate that goes with them."""

import os

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError


def samples_an_iteration(runner: Runner) -> int:
    """Samples of all ranks."""
    return _batch_size(runner) * get_world_size()


def samples_a_step(runner: Runner) -> int:
    """Samples of all ranks, times the iterations whose gradients are accumulated."""
    return samples_an_iteration(runner) * _accumulated(runner)


def scale_learning_rate(runner: Runner) -> None:
    """Say in the log how many samples make a step, and scale the rates of all parameters if the config asks for it.

    The recipe's number is ``auto_scale_lr.base_batch_size``, for which its learning rate was chosen; with ``enable``
    the rates are multiplied by this run's samples a step to those, without it another number is warned of; where there
    are fewer samples than that, it is only said.
    """
    samples, recipe = samples_a_step(runner), runner.auto_scale_lr or {}
    what = "pairs" if hasattr(unwrapped(runner.model), "alignments") else "samples"
    accumulated = f" × {_accumulated(runner)} accumulated" if _accumulated(runner) > 1 else ""
    ranks = f"{get_world_size()} rank{'s' * (get_world_size() > 1)}"
    runner.logger.info(f"batch       {samples} {what} a step = {ranks} × {_batch_size(runner)}{accumulated}")
    wanted, available = recipe.get("base_batch_size", samples), len(runner.train_dataloader.dataset)
    if recipe.get("enable"):
        if wanted != samples:
            runner.logger.info(f"The recipe has {wanted}: its learning rate is multiplied by {samples / wanted:.4g}")
        for group in runner.optim_wrapper.param_groups:
            group["lr"] *= samples / recipe["base_batch_size"]
    elif samples < wanted and samples_an_iteration(runner) > available - get_world_size():  # all that there are
        runner.logger.info(
            f"The recipe has {wanted} {what} a step, but there are {available}: its rate stays (--auto-scale-lr "
            "scales it)"
        )
    elif wanted != samples:
        runner.logger.warning(
            f"The recipe has {wanted} {what} a step, this run {samples}, at the same learning rate. --total-batch "
            f"{wanted} divides them among the ranks; --auto-scale-lr scales the rate."
        )


def samples_a_rank(loader: DataLoader) -> int:
    """Batch of a loader whose samples do not fill the one that it has: all that a rank has of them.

    Raises:
        UserError: That is fewer than two, of which nothing can be told apart.
    """
    samples, ranks = len(loader.dataset), get_world_size()
    if samples // ranks < 2:
        raise UserError(
            f"{samples} training samples are too few for {ranks} rank(s): each needs two or more in its batch.\n"
            "Prepare more of them, or move some from validation and test: mgca-mm prepare … --split-list FILE"
        )
    return samples // ranks


def divide_batch(cfg: Config, total: int, ranks: int) -> None:
    """Give each rank its share of a total batch, in place; of validation and test, of what the config has for them.

    The total is that of a step, of all ranks and accumulated iterations.

    Raises:
        UserError: A total cannot be divided.
    """
    parts = ranks * cfg.optim_wrapper.get("accumulative_counts", 1)
    if total < 1 or total % parts:
        raise UserError(f"--total-batch {total} cannot be divided by {parts} (ranks × accumulated iterations).")
    cfg.train_dataloader.batch_size = total // parts
    for loader in filter(None, (cfg.get("val_dataloader"), cfg.get("test_dataloader"))):
        if loader.batch_size > ranks and loader.batch_size % ranks:
            raise UserError(
                f"A batch of {loader.batch_size} in validation or test cannot be divided by {ranks} ranks.\n"
                "Set val_dataloader.batch_size and test_dataloader.batch_size to a multiple of them."
            )
        loader.batch_size = max(1, loader.batch_size // ranks)


def ranks_to_come(launcher: str) -> int:
    """Number of ranks of a run, as its launcher says, before they have met."""
    name = {"pytorch": "WORLD_SIZE", "slurm": "SLURM_NTASKS"}.get(launcher)
    return int(os.environ.get(name, 1)) if name else 1


def _batch_size(runner: Runner) -> int:
    return getattr(runner.train_dataloader.batch_sampler, "batch_size", 1)


def _accumulated(runner: Runner) -> int:
    return getattr(runner.optim_wrapper, "_accumulative_counts", 1)
