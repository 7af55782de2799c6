"""Operations on packed rows of which some, the gaps, hold nothing and must stay 0.

Written with their own backward passes: these arrays are large and the arithmetic on them is cheap,
so that what counts is how often they go through memory.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PIECE_ROWS = 2048
"""Rows that are converted at a time."""


class RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the real rows of ``(rows, dim)``; gaps stay 0."""

    def forward(self, rows: Tensor, gaps: Tensor | None = None, *, rectify: bool = False) -> Tensor:
        """Normalise ``rows``, or with ``rectify`` their ReLU.

        Args:
            gaps: int64, the rows to leave out; whatever they hold, they are 0 in the result.
        """
        if gaps is None:
            return super().forward(rows.relu() if rectify else rows)
        if not self.training:
            scale, shift = self.scale_and_shift()
            values = rows.relu() if rectify else rows
            normalised = torch.addcmul(shift.to(rows.dtype), values, scale.to(rows.dtype))
            return normalised.index_fill(0, gaps, 0)
        result, mean, variance = _MaskedBatchNorm.apply(  # type: ignore[no-untyped-call]
            rows, gaps, self.weight, self.bias, self.eps, rectify
        )
        count = len(rows) - len(gaps)
        self.track(mean, variance * (count / max(1, count - 1)))
        normalised_rows: Tensor = result
        return normalised_rows

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return a and b ``(dim,)`` with which eval mode maps a row x to a x + b."""
        assert self.running_mean is not None
        assert self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards a batch's ``(dim,)``.

        Args:
            variance: the unbiased one, the sum of squares divided by one less than the rows.
        """
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _MaskedBatchNorm(torch.autograd.Function):
    """Training-mode batch normalisation of real rows; its gradient as in Ioffe and Szegedy 2015."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        gaps: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        rectify: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        values = (rows.relu() if rectify else rows.clone()).index_fill_(0, gaps, 0)
        count = len(rows) - len(gaps)
        total, squares = _sums(values, values)
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        inverse = torch.rsqrt(variance + eps)
        scale = weight * inverse
        shift = bias - mean * scale
        result = torch.addcmul(shift.to(rows.dtype), values, scale.to(rows.dtype))
        result.index_fill_(0, gaps, 0)
        ctx.save_for_backward(values, gaps, weight, mean, inverse)
        ctx.rectify = rectify
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, _mean: Tensor, _variance: Tensor
    ) -> tuple[Tensor | None, ...]:
        values, gaps, weight, mean, inverse = ctx.saved_tensors
        count = len(values) - len(gaps)
        # What stands in the gaps must not count; their values are 0 and take it out elsewhere.
        in_gaps = gradient.index_select(0, gaps).sum(0, dtype=torch.float32)
        total, products = _sums(gradient, values)
        bias_gradient = total - in_gaps
        weight_gradient = (products - mean * bias_gradient) * inverse
        # d rows = a g + b x + c, with one number per column: a, b and c.
        a = weight * inverse
        b = -a * inverse * weight_gradient / count
        c = -a * bias_gradient / count - b * mean
        kind = values.dtype
        rows_gradient = torch.addcmul(c.to(kind), values, b.to(kind))
        rows_gradient.addcmul_(gradient, a.to(kind))
        if ctx.rectify:
            zero_where_at_most(rows_gradient, values, 0, out=rows_gradient)
        else:
            rows_gradient.index_fill_(0, gaps, 0)
        return rows_gradient, None, weight_gradient, bias_gradient, None, None


def _sums(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return Σ left and Σ left ⊙ right over the rows of two ``(rows, dim)``, float32 ``(dim,)``.

    In pieces, so that what is converted to float32 stays in the processor's cache.
    """
    total = left.new_zeros(left.shape[1], dtype=torch.float32)
    products = torch.zeros_like(total)
    pieces = zip(torch.split(left, PIECE_ROWS), torch.split(right, PIECE_ROWS), strict=True)
    for left_piece, right_piece in pieces:
        values = left_piece.float()
        total += values.sum(0)
        products += (values * right_piece).sum(0)
    return total, products


class Dropout(nn.Module):
    """Dropout that draws one random byte per value, eight at a time.

    The share that is dropped is ``p`` rounded to a multiple of 1/256; the rest is scaled by it
    exactly.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = round(256 * p)

    def forward(self, values: Tensor) -> Tensor:
        """Return ``values`` with some set to 0; in eval mode, as they are."""
        if not self.training or not self.dropped:
            return values
        count = values.numel()
        words = torch.empty(-(-count // 8), dtype=torch.int64, device=values.device)
        # Bounds named, since without them only 63 bits are drawn.
        words.random_(-(2**63), None)
        random_bytes = words.view(torch.uint8)[:count].view(values.shape)
        kept: Tensor = _Drop.apply(values, random_bytes.to(values.dtype), self.dropped)  # type: ignore[no-untyped-call]
        return kept


class _Drop(torch.autograd.Function):
    """Values whose random byte is at least ``dropped``, scaled; the others 0.

    Compares and multiplies in one pass, without a boolean mask, whose conversion would cost more
    than all the rest.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, random_bytes: Tensor, dropped: int) -> Tensor:
        ctx.save_for_backward(random_bytes)
        ctx.dropped = dropped
        return _drop(values, random_bytes, dropped)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (random_bytes,) = ctx.saved_tensors
        return _drop(gradient, random_bytes, ctx.dropped), None, None


def zero_where_at_most(
    values: Tensor, reference: Tensor, limit: float, out: Tensor | None = None
) -> Tensor:
    """Return ``values`` where ``reference > limit``, else 0, in one pass.

    Args:
        out: takes the result, and may be ``values``.
    """
    threshold = torch.ops.aten.threshold_backward
    kept: Tensor = (
        threshold(values, reference, limit)
        if out is None
        else threshold.grad_input(values, reference, limit, grad_input=out)
    )
    return kept


def _drop(values: Tensor, random_bytes: Tensor, dropped: int) -> Tensor:
    return zero_where_at_most(values, random_bytes, dropped - 1).mul_(256 / (256 - dropped))


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``rows @ weight.T + bias`` for ``(n, k)`` and ``(m, k)``.

    In float32 on a CPU as a 1 × 1 convolution, which oneDNN computes: torch hands plain float32
    products to MKL, which reaches half of that on processors of other makers than its own.
    """
    if rows.device.type != "cpu" or rows.dtype != torch.float32:
        return F.linear(rows, weight, bias)
    count, width = rows.shape
    image = rows.contiguous().view(1, 1, count, width).permute(0, 3, 1, 2)
    convolved = F.conv2d(image, weight.contiguous()[:, :, None, None], bias)
    return convolved.permute(0, 2, 3, 1).reshape(count, -1)


def batched_product(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left[b] @ right[b].T`` for ``(b, n, k)`` and ``(b, m, k)``, contiguous."""
    if left.device.type != "cpu" or left.dtype != torch.float32:
        return torch.bmm(left, right.transpose(1, 2))
    result = left.new_empty(len(left), left.shape[1], right.shape[1])
    for here, rows, weight in zip(result, left, right, strict=True):
        here.copy_(product(rows, weight))
    return result
