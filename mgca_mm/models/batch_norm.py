"""Batch norm over the real tokens of a batch and over all ranks."""

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from mgca_mm.distributed import sum_over_ranks


class TokenBatchNorm(_NormBase):
    """Batch norm with channels last, over any leading shape, that can leave padding out of its statistics.

    The parameters, buffers and numbers are those of ``torch.nn.BatchNorm1d``. In training with several processes the
    statistics are those of the global batch; unlike ``torch.nn.SyncBatchNorm`` this works on CPUs too. The statistics
    are computed in two passes and in fp32 at least, so that autocast does not lose the variance. It is no
    ``torch.nn.modules.batchnorm._BatchNorm``, lest MMEngine's ``sync_bn`` turn it into a SyncBatchNorm.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise ``x``.

        Args:
            x: (..., C).
            mask: (...) True = real. Padding is normalised with the statistics of the real entries but does not take
                part in them. None: all are real.

        Returns:
            (..., C) in the data type of ``x``.

        Raises:
            ValueError: In training, if there are fewer than two real entries in the (global) batch.
        """
        if not self.training:
            return F.batch_norm(
                x.reshape(-1, self.num_features),
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                eps=self.eps,
            ).view_as(x)
        flat = x.reshape(-1, self.num_features)
        if mask is None and get_world_size() == 1:
            if flat.shape[0] < 2:
                raise ValueError(_TOO_FEW)
            self.num_batches_tracked.add_(1)
            return F.batch_norm(
                flat, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            ).view_as(x)
        values = flat.to(torch.promote_types(flat.dtype, torch.float32))
        real = torch.ones_like(values[:, :1]) if mask is None else mask.reshape(-1, 1).to(values.dtype)
        count = sum_over_ranks(real.sum())
        mean = sum_over_ranks((values * real).sum(dim=0)) / count
        centred = values - mean
        var = sum_over_ranks((centred.square() * real).sum(dim=0)) / count
        self._update_running_statistics(mean.detach(), var.detach(), count.detach())
        out = centred * torch.rsqrt(var + self.eps)
        if self.affine:
            out = out * self.weight + self.bias
        return out.to(x.dtype).view_as(x)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        # torch._assert_async raises without a host-device synchronisation.
        torch._assert_async(count > 1, _TOO_FEW)
        self.num_batches_tracked.add_(1)
        unbiased = var * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


_TOO_FEW = "batch norm needs at least two samples or real tokens in a training batch: use a larger batch size"
