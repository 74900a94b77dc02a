"""Counting what a piece of code asks of the device: operators, and waits of the host for their result."""

import torch
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
    """Counts operators while it is entered, on any device, compiled code excepted.

    Attributes:
        operators: Operators that were run; on a GPU each launches about one kernel.
        waits: Name of each operator whose result the host needs at once, on a GPU a host-device synchronisation:
            reading a number, and results whose shape depends on the data, such as indexing by a mask.
    """

    def __init__(self):
        super().__init__()
        self.operators = 0
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and run an operator."""
        self.operators += 1
        name = func._schema.name
        if name in _WAITING or (name in _INDEXING and _indexes_by_mask(args[1])):
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


def _indexes_by_mask(indices) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
