"""Activation checkpointing: a block's activations are computed again in the backward pass instead of being kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

# Where mmpretrain, timm and torchvision keep the blocks of a backbone.
_STAGES = ("layers", "blocks", "stages", "layer1", "layer2", "layer3", "layer4")


def checkpoint_blocks(backbone: nn.Module, stages: str | Sequence[str] | None = None) -> None:
    """Checkpoint the blocks of a backbone, in place; names of parameters stay.

    Memory falls to the blocks' inputs and the activations of one block, for one more forward pass. Losses and
    gradients stay what they are: dropout draws the same numbers again (torch keeps the generator's state), and batch
    norm counts a batch once.

    Args:
        backbone: Of mmpretrain or timm, with its blocks under one of the usual names.
        stages: Names of the stages whose blocks are checkpointed, or one name, such as ``'layer1'`` of a ResNet. None:
            all.

    Raises:
        TypeError: If it has none of the usual names.
        ValueError: If it has no stage of a name.
    """
    found = {name: getattr(backbone, name, None) for name in _STAGES}
    found = {name: stage for name, stage in found.items() if isinstance(stage, nn.Module)}
    if not any(len(list(stage.children())) for stage in found.values()):
        raise TypeError(f"{type(backbone).__name__} has no blocks ({', '.join(_STAGES)}) to checkpoint")
    for name in found if stages is None else [stages] if isinstance(stages, str) else stages:
        if name not in found:
            raise ValueError(f"{type(backbone).__name__} has no stage {name!r} to checkpoint, but {', '.join(found)}")
        for block in found[name].children():
            block.forward = partial(_run, block.forward, partial(_contexts, block))


def _run(forward: Callable, contexts: Callable, *args: Any, **kwargs: Any) -> Any:
    # torch.compile repeats computations without their side effects: it needs no contexts, and fails at these.
    if not torch.compiler.is_compiling():
        kwargs["context_fn"] = contexts
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


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
