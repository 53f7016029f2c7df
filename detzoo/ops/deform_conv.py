"""Deformable convolution: a convolution that reads its input at shifted places.

One call of torchvision's operator, which knows CPU and CUDA, has shapes without values, and can be exported.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FAR = 1e6  # cells: outside of every map


def deform_conv(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Tensor:
    """Convolve ``x`` where each cell of the kernel, at each place, reads bilinearly at its own shift.

    Deformable Convolutional Networks, equation 2 (arXiv:1703.06211); with ``mask``, which scales what is read,
    Deformable ConvNets v2, equation 1 (arXiv:1811.11168). Outside of ``x`` there are zeros. Always computed in float32:
    half precision would round the places. Costs a copy of ``x`` per kernel cell, made again in the backward pass.

    Args:
        x: ``[N, C, H, W]``.
        offset: ``[N, 2 g k k, H', W']``, down and right in cells of ``x`` for each kernel cell, row by row, for each of
            g groups of channels; H' and W' as an ordinary convolution gives them. One that is not finite reads outside.
        weight: ``[C', C / groups, k, k]``.
        bias: ``[C']``.
        mask: ``[N, g k k, H', W']`` in [0, 1].
        stride: cells of ``x`` between places.
        padding: zeros around ``x``.
        dilation: cells of ``x`` between kernel cells.

    Returns:
        ``[N, C', H', W']`` in the type of ``x``.

    Raises:
        RuntimeError: the shapes do not fit each other.
    """
    from torchvision.ops import deform_conv2d  # late: importing it takes a second that other networks do not need

    wide = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        result = deform_conv2d(
            x.to(wide),
            # the operator takes the place of a shift that is not a number for one inside, and reads anywhere in memory
            offset.to(wide).nan_to_num(_FAR, _FAR, -_FAR),
            weight.to(wide),
            None if bias is None else bias.to(wide),
            (stride, stride),
            (padding, padding),
            (dilation, dilation),
            None if mask is None else mask.to(wide),
        )
    return result.to(x.dtype)
