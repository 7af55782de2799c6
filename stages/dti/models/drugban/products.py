"""Matrix products at the processor's speed, without gradients."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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
