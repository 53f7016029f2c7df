"""Content-aware reassembly of features: upsampling in which every new cell has a kernel of its own.

The same few torch operators everywhere, on processors and GPUs, compiled and exported: one multiply-and-add per kernel
cell, over all images, channels and cells at once.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F


def carafe(x: Tensor, kernels: Tensor, size: int, scale: int) -> Tensor:
    """Sum the neighbourhood of each cell with the kernels of the ``scale x scale`` cells that it becomes.

    CARAFE, equation 2 (arXiv:1905.02188). Outside of ``x`` there are zeros. Sums are float32 at least. The result and a
    framed copy of ``x`` is all the memory that is taken, whatever the size of the kernels; the backward pass keeps
    ``x`` and ``kernels`` and takes two more results. (As a matrix product the neighbourhoods, ``size^2`` copies of
    ``x``, would lie in memory.) Gradients are exact.

    Args:
        x: ``[N, C, H, W]``.
        kernels: ``[N, groups, size^2, scale^2, H, W]``: of each group of channels the kernels, row by row, of
            the new cells of a cell, row by row.
        size: cells per side of a kernel, odd.
        scale: new cells per side of a cell.

    Returns:
        ``[N, C, scale H, scale W]`` in the type of ``x``.
    """
    if torch.is_grad_enabled() and (x.requires_grad or kernels.requires_grad):
        return cast(Tensor, _Carafe.apply(x, kernels, size, scale))
    return _forward(x, kernels, size, scale)


def _forward(x: Tensor, kernels: Tensor, size: int, scale: int) -> Tensor:
    count, channels, height, width = x.shape
    framed, spread = _framed(x, kernels, size), _spread(kernels, scale)
    shape = (count, height, scale, width, scale, kernels.shape[1], channels // kernels.shape[1])
    total = framed.new_zeros(shape, dtype=torch.promote_types(x.dtype, torch.float32))
    for cell in range(size**2):
        total.addcmul_(_window(framed, cell, size, height, width), spread[cell])
    return total.view(count, height * scale, width * scale, channels).permute(0, 3, 1, 2).to(x.dtype)


class _Carafe(torch.autograd.Function):
    """`carafe` with a gradient that keeps its inputs and nothing else."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor, size: int, scale: int) -> Tensor:
        ctx.save_for_backward(x, kernels)
        ctx.sizes = size, scale
        return _forward(x, kernels, size, scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, kernels = ctx.saved_tensors
        size, scale = ctx.sizes
        count, channels, height, width = x.shape
        framed, spread = _framed(x, kernels, size), _spread(kernels, scale)
        shape = (count, height, scale, width, scale, kernels.shape[1], channels // kernels.shape[1])
        grad = grads[0].permute(0, 2, 3, 1).contiguous().view(shape)
        of_framed = torch.zeros_like(framed, dtype=torch.promote_types(x.dtype, torch.float32))
        of_kernels = []
        for cell in range(size**2):
            window = _window(framed, cell, size, height, width)
            of_kernels.append((grad * window).sum(6))
            _window(of_framed, cell, size, height, width).add_((grad * spread[cell]).sum((2, 4), keepdim=True))
        half = size // 2
        inner = of_framed[:, half : half + height, 0, half : half + width, 0].flatten(3)
        # [N, H, s, W, s, groups] of each cell
        gathered = torch.stack(of_kernels).permute(1, 6, 0, 3, 5, 2, 4).flatten(3, 4)
        return inner.permute(0, 3, 1, 2).to(x.dtype), gathered.to(kernels.dtype), None, None


def _framed(x: Tensor, kernels: Tensor, size: int) -> Tensor:
    """``x`` within zeros, channels last and in groups: ``[N, H', 1, W', 1, groups, C / groups]``."""
    rows = F.pad(x, (size // 2,) * 4).permute(0, 2, 3, 1).contiguous()
    return rows.unflatten(3, (kernels.shape[1], -1)).unsqueeze(2).unsqueeze(4)


def _spread(kernels: Tensor, scale: int) -> Tensor:
    """The kernels as ``[size^2, N, H, scale, W, scale, groups, 1]``."""
    return kernels.unflatten(3, (scale, scale)).permute(2, 0, 5, 3, 6, 4, 1).contiguous().unsqueeze(-1)


def _window(framed: Tensor, cell: int, size: int, height: int, width: int) -> Tensor:
    """What one cell of every kernel looks at: ``[N, H, 1, W, 1, groups, C / groups]``, a view."""
    top, left = cell // size, cell % size
    return framed[:, top : top + height, :, left : left + width]
