"""A map of rows of channels (channels-last) as planes, one per channel."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.library.custom_op("detzoo::planes", mutates_args=(), device_types="cpu")
def _planes(x: Tensor) -> Tensor:
    copy = torch.empty_like(x, memory_format=torch.contiguous_format)
    for planes, rows in zip(copy.flatten(2), x.flatten(2), strict=True):
        planes.copy_(rows)
    return copy


@_planes.register_fake
def _planes_shape(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def as_planes(x: Tensor) -> Tensor:
    """``x [N, C, H, W]`` on a processor, contiguous: itself, or a copy.

    Each image is the transpose of a matrix, which torch copies two to three times as fast as it copies the batch from
    one layout to the other. There is no gradient.
    """
    return x if x.is_contiguous() else torch.ops.detzoo.planes(x)
