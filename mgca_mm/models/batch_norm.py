"""Batch norm over all tokens of a batch and over all ranks."""

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _NormBase

from mgca_mm.distributed import sum_over_ranks


class TokenBatchNorm(_NormBase):
    """Batch norm with channels last, over any leading shape.

    The parameters, buffers and numbers are those of ``torch.nn.BatchNorm1d``. In training with several processes the
    statistics are those of the global batch, of which each rank may have any number of rows, also none; the ranks
    exchange one message in the forward pass and one in the backward pass. Unlike ``torch.nn.SyncBatchNorm`` this works
    on CPUs too. The statistics are computed in two passes and in fp32 at least, so that autocast does not lose the
    variance. It is no ``torch.nn.modules.batchnorm._BatchNorm``, lest MMEngine's ``sync_bn`` turn it into a
    SyncBatchNorm.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each channel by the statistics of the batch, or by the running ones in evaluation.

        Args:
            x: (..., C).

        Returns:
            (..., C) in the data type of ``x``.

        Raises:
            ValueError: In training, if the batch of one process has fewer than two rows.
            RuntimeError: The same for the batch of several ranks, of which the rows have to be counted.
        """
        rows = x.reshape(-1, self.num_features)
        if not self.training or get_world_size() == 1:
            if self.training:
                if len(rows) < 2:
                    raise ValueError(_TOO_FEW)
                self.num_batches_tracked.add_(1)
            return F.batch_norm(
                rows,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                self.training,
                self.momentum,
                self.eps,
            ).view_as(x)
        count, mean, var = _statistics(rows)
        self._update_running_statistics(count, mean, var)
        weight = torch.ones_like(mean) if self.weight is None else self.weight.to(mean.dtype)
        bias = torch.zeros_like(mean) if self.bias is None else self.bias.to(mean.dtype)
        return _Normalize.apply(rows, count, mean, var, weight, bias, self.eps).view_as(x)

    @torch.no_grad()
    def _update_running_statistics(self, count: Tensor, mean: Tensor, var: Tensor) -> None:
        # torch._assert_async raises without a host-device synchronization.
        torch._assert_async(count > 1, _TOO_FEW)
        self.num_batches_tracked.add_(1)
        unbiased = var * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


@torch.no_grad()
def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number (1,), means and biased variances (C,) of the rows of all ranks: x (N, C)."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    count = x.new_full((1,), len(x))
    mean = x.sum(dim=0) / count.clamp(min=1)
    deviation = (x - mean).square().sum(dim=0)
    # By the parallel axis theorem, sums about zero are what adds up. fp64 loses (mean / std)² · 1e-16 of the variance
    # there, less than the rounding of fp32 inputs does.
    count, mean = count.double(), mean.double()
    sums = sum_over_ranks(torch.cat([count, count * mean, deviation + count * mean.square()]))
    count, mean, square = sums.split([1, len(mean), len(mean)])
    mean, square = mean / count, square / count
    var = (square - mean.square()).clamp(min=0)
    return count.to(x.dtype), mean.to(x.dtype), var.to(x.dtype)


class _Normalize(torch.autograd.Function):
    """Batch norm with given statistics, through which the gradient flows back to all rows of all ranks.

    With x̂ = (x - mean) / std of rows i, and sums over the n rows j of all ranks::

        dx_i = weight / std · [ dy_i - 1 / n · (Σ_j dy_j + x̂_i Σ_j dy_j x̂_j) ]

    PyTorch's fused operators with fixed statistics compute the first term, both sums of a rank (which are the gradients
    of bias and weight), and, as an affine map of x̂, the second term.
    """

    @staticmethod
    def forward(
        ctx,
        x: Tensor,
        count: Tensor,
        mean: Tensor,
        var: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, count, mean, var, weight)
        ctx.eps = eps
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, count, mean, var, weight = ctx.saved_tensors
        if len(x):
            direct, grad_weight, grad_bias = torch.ops.aten.native_batch_norm_backward(
                grad, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True]
            )
        else:  # Those operators divide by the number of rows, and the other ranks wait for this one's message.
            # Zeros, but sums of ``grad``: a compiler would take constants for a message of the forward pass.
            direct = grad
            grad_weight = grad_bias = grad.sum(dim=0, dtype=weight.dtype)
        sums = sum_over_ranks(torch.stack([grad_weight, grad_bias]))
        scale, shift = sums * (weight * torch.rsqrt(var + ctx.eps) / count)
        indirect = F.batch_norm(x, mean, var, scale, shift, eps=ctx.eps)
        return direct - indirect, None, None, None, grad_weight, grad_bias, None


_TOO_FEW = "batch norm needs at least two samples or tokens in a training batch: use a larger batch size"
