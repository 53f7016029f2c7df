"""Side-Aware Boundary Localization, arXiv:1912.04260, 2019, section 3: boxes by their sides, and sides by buckets.

Around a box, made larger, lie buckets, rows of lines that a side of the object may be near: half of them, counted from
its own end, are a side's. A side lies where the line of the best bucket is moved to, by a fine offset in widths of a
bucket. Sides come in the order left, right, top, bottom.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detzoo.blocks.losses import BoxLoss, binary_loss, box_loss
from detzoo.ops.boxes import full_precision, to_centres

NEAREST = 2  # lines of a side that learn an offset


def per_side(count: int) -> int:
    """How many of ``count`` buckets in a row are those of one side."""
    return (count + 1) // 2


def bucket_losses(
    logits: Tensor,
    offsets: Tensor,
    boxes: Tensor,
    objects: Tensor,
    learns: Tensor,
    count: int,
    scale: float,
    config: BoxLoss,
) -> tuple[Tensor, Tensor]:
    """What is learned of sides, as sums: which bucket is best, and the offsets of the nearest lines.

    A line less than a bucket away from the side that is not the nearest one learns its offset only.

    Args:
        logits: ``[..., 4, B]``, one for each bucket of each side.
        offsets: ``[..., 4, B]`` in widths of a bucket.
        boxes: ``[..., 4]``, that the buckets lie around.
        objects: ``[..., 4]``, that each should find.
        learns: bool ``[...]``, which boxes are to find one.
        count: buckets in a row.
        scale: of the boxes that they lie around.
        config: loss of the offsets.
    """
    # in float32 as the matching: where a side, as that of a picture, lies on a line, rounding tells if others are near
    lines, width = _lines(boxes.float(), count, scale)
    sides = objects.float().unflatten(-1, (2, 2)).transpose(-1, -2).flatten(-2).unsqueeze(-1)
    wanted = (lines - sides) / width.clamp(min=1e-6)
    gap = wanted.abs()
    order = gap.topk(NEAREST, dim=-1, largest=False).indices.unsqueeze(-1)
    best, second = (torch.arange(gap.shape[-1], device=gap.device) == order).unbind(-2)
    near = gap < 1
    learns = learns[..., None, None]
    chosen = binary_loss(logits, best, (best | ~near) & learns)
    used = (best | second & near) & learns
    return chosen, box_loss(offsets.unsqueeze(-1), wanted.unsqueeze(-1), used.float(), config)


def place(boxes: Tensor, logits: Tensor, offsets: Tensor, count: int, scale: float) -> tuple[Tensor, Tensor]:
    """Boxes ``[..., 4]`` whose sides are where they are said to be, and how sure that is, ``[...]`` in [0, 1].

    It is the mean over the sides of the probability of the best bucket, and of the second best if it is beside that
    (section 3.3). Arguments as of `bucket_losses`.
    """
    lines, width = _lines(boxes, count, scale)
    chances, where = full_precision(logits).softmax(-1).topk(NEAREST, dim=-1)
    best = where[..., :1]
    sides = (lines.gather(-1, best) - full_precision(offsets).gather(-1, best) * width).squeeze(-1)
    beside = (where[..., 0] - where[..., 1]).abs() == 1
    sure = (chances[..., 0] + chances[..., 1] * beside).mean(-1)
    return sides.unflatten(-1, (2, 2)).transpose(-1, -2).flatten(-2), sure


def _lines(boxes: Tensor, count: int, scale: float) -> tuple[Tensor, Tensor]:
    """Lines ``[..., 4, B]`` in the middle of each side's buckets, pixels, and how wide these are, ``[..., 4, 1]``."""
    middle, size = to_centres(boxes).unsqueeze(-1).split(2, -2)
    half = size * scale / 2
    low, high = middle - half, middle + half
    width = (high - low) / count
    inwards = (torch.arange(per_side(count), device=boxes.device) + 0.5) * width
    lines = torch.stack([low + inwards, high - inwards], -2)  # [..., axis, end, B]
    return lines.flatten(-3, -2), width.expand(*width.shape[:-1], 2).flatten(-2).unsqueeze(-1)
