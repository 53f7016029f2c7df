"""Content-aware reassembly of features: upsampling in which every new cell has a kernel of its own.

The same few torch operators everywhere, on processors and GPUs, compiled and exported: one multiply-and-add per kernel
cell, over all images, channels and cells at once; backwards two small matrix products per row of the kernels.
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
    ``x`` and ``kernels`` and takes four more results. (As a matrix product the neighbourhoods, ``size^2`` copies of
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
        height, width = x.shape[2:]
        groups, framed = kernels.shape[1], _framed(x, kernels, size)[:, :, 0, :, 0]  # [N, H', W', groups, C / groups]
        # of each cell and group the new cells: one small matrix product for a row of the kernels
        grad = grads[0].unflatten(1, (groups, -1)).unflatten(3, (height, scale)).unflatten(5, (width, scale))
        grad = grad.permute(0, 3, 5, 1, 4, 6, 2).flatten(4, 5)  # [N, H, W, groups, scale^2, C / groups]
        spread = kernels.permute(0, 4, 5, 1, 2, 3).to(grad.dtype)  # [N, H, W, groups, size^2, scale^2]
        of_framed = torch.zeros_like(framed, dtype=torch.promote_types(x.dtype, torch.float32))
        of_kernels = []
        for row in range(size):
            seen = framed[:, row : row + height].unfold(2, size, 1)  # [N, H, W, groups, C / groups, size]
            of_kernels.append(grad @ seen)
            part = spread[..., row * size : (row + 1) * size, :] @ grad
            for column in range(size):
                of_framed[:, row : row + height, column : column + width] += part[..., column, :]
        half = size // 2
        inner = of_framed[:, half : half + height, half : half + width].flatten(3)
        gathered = torch.cat(of_kernels, -1).permute(0, 3, 5, 4, 1, 2)
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
