"""RoIAlign as it was before its half-pixel shift, by that of today."""

from __future__ import annotations

import torch
from torch import Tensor


def unaligned(boxes: Tensor, levels: Tensor, stride: int) -> Tensor:
    """RoIs ``[N, R, 4]`` whose aligned features are the unaligned ones of ``boxes [N, R, 4]``.

    Unaligned RoIAlign takes the value of a cell to be at its corner rather than its middle, half a cell aside, and
    every RoI to be a cell wide and high at least (``aligned=False`` of Detectron2 and torchvision).

    Args:
        boxes: xyxy pixels.
        levels: int64 ``[N, R]``, the level each RoI is pooled from.
        stride: pixels per cell of level 0; each further level's is twice as large.
    """
    cell = (stride << levels).to(boxes.dtype).unsqueeze(-1)
    low = boxes[..., :2]
    return torch.cat([low, torch.maximum(boxes[..., 2:], low + cell)], -1) + cell / 2
