"""Activation checkpointing: a block's activations are computed again in the backward pass instead of being kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

# Where mmpretrain, timm and torchvision keep the blocks of a backbone.
_STAGES = ("layers", "blocks", "stages", "layer1", "layer2", "layer3", "layer4")


def checkpoint_blocks(backbone: nn.Module) -> None:
    """Checkpoint every block of a backbone, in place; names of parameters stay.

    Memory falls to the blocks' inputs and the activations of one block, for one more forward pass. Losses and
    gradients stay what they are: dropout draws the same numbers again (torch keeps the generator's state), and batch
    norm counts a batch once.

    Args:
        backbone: Of mmpretrain or timm, with its blocks under one of the usual names.

    Raises:
        TypeError: If it has none of them.
    """
    stages = [getattr(backbone, name) for name in _STAGES if isinstance(getattr(backbone, name, None), nn.Module)]
    blocks = [block for stage in stages for block in stage.children()]
    if not blocks:
        raise TypeError(f"{type(backbone).__name__} has no blocks ({', '.join(_STAGES)}) to checkpoint")
    for block in blocks:
        has_batch_norm = any(isinstance(module, _BatchNorm) for module in block.modules())
        contexts = dict(context_fn=partial(_contexts, block)) if has_batch_norm else {}
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, **contexts)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Contexts of the forward pass and of its repetition."""
    return nullcontext(), _without_running_statistics(block)


@contextmanager
def _without_running_statistics(block: nn.Module) -> Iterator[None]:
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
