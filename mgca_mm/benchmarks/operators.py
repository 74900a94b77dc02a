"""Counting what a piece of code asks of the device: operators, and waits of the host for their result."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITING = {
    "aten::_local_scalar_dense",  # .item(), float(tensor), if tensor:
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave",
    "aten::unique_dim",
    "aten::_unique2",
}
_INDEXING = {"aten::index", "aten::index_put", "aten::index_put_"}


class OperatorCount(TorchDispatchMode):
    """Counts operators while it is entered, compiled code excepted.

    Args:
        device: Type of the device whose numbers the host waits for. What the host reads of its own memory is no wait,
            except on a CPU, where the two memories are one and every read counts.

    Attributes:
        operators: Operators that were run; on a GPU each launches about one kernel.
        waits: Name of each operator whose result the host needs at once, on a GPU a host-device synchronization:
            reading a number, and results whose shape depends on the data, such as indexing by a mask.
    """

    def __init__(self, device: str = "cpu"):
        super().__init__()
        self.device = device
        self.operators = 0
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and run an operator."""
        self.operators += 1
        name = func._schema.name
        if any(tensor.device.type == self.device for tensor in _read_by_the_host(name, args)):
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


def count_waits(run: Callable[[], object]) -> int:
    """Waits of the host for the GPU in a call, as CUDA's own debug mode sees them: in compiled code, too."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)


def _read_by_the_host(name: str, args: tuple) -> list[Tensor]:
    """The tensors whose values decide what the host does next."""
    if name in _WAITING:
        return [args[0]]
    if name in _INDEXING:
        return [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
    return []
