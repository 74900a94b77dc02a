"""bfloat16 autocast on any device."""

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from torch import nn

from mgca_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast, on CPUs as well as on GPUs.

    MMEngine's ``AmpOptimWrapper`` refuses a CPU and brings a loss scaler that bfloat16 does not need. Where the device
    has no bfloat16 instructions (autocast would be slower than fp32 there) the pass stays in fp32 and the log says so.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.enabled = has_bfloat16(get_device())
        if not self.enabled:
            print_log(f"{get_device()} has no bfloat16 instructions: training in fp32", logger="current")

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Enter autocast beside what :class:`OptimWrapper` enters."""
        device_type = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device_type, torch.bfloat16, enabled=self.enabled):
            yield


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") or capabilities.get("bf16"))
    return False
