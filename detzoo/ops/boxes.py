"""Box arithmetic, the precision of boxes and scores, and which of many boxes overlap an object.

Boxes are xyxy pixels (see `detzoo.types`); arithmetic broadcasts over leading dimensions.

`best_overlaps` and `covered` compare all boxes with all objects, each as one operator with a backend per kind of
device: the plain formula where objects are few, an index of the boxes (`detzoo.ops.overlaps_index`) on the CPU where
they are many, Triton programs on CUDA. All give the same bits. None makes the host wait for a device, and each is one
call in a compiled or exported graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_FAR = 1e18  # pixels: areas of boxes that reach further overflow float32
_CHUNK = 16  # object slots that the plain formula compares at once: bounds its memory
# exp() of a larger size change would overflow long before it could describe an object (Fast R-CNN's 1000/16)
MAX_LOG_RATIO = math.log(1000.0 / 16.0)


def full_precision(x: Tensor) -> Tensor:
    """``x [...]`` in float32, whatever the network computes in; float64 stays, so that it reaches the results."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Rows ``[N, S, ...]`` of ``values [N, A, ...]`` at ``index [N, S]``."""
    shape = index.shape + values.shape[2:]
    return values.gather(1, index.reshape(index.shape + (1,) * (values.dim() - 2)).expand(shape))


def area(boxes: Tensor) -> Tensor:
    """Area ``[...]`` in square pixels of boxes ``[..., 4]``."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Common area of boxes ``[..., 4]`` and ``[..., 4]``, broadcast against each other."""
    width = torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])
    height = torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])
    return width.clamp(min=0) * height.clamp(min=0)


def iou(a: Tensor, b: Tensor, eps: float = 1e-6, more: float = 0.0) -> Tensor:
    """Intersection over union of boxes ``[..., 4]`` and ``[..., 4]``, broadcast; the union is at least ``eps``.

    Both areas are ``more`` than they are.
    """
    common = intersection(a, b)
    return (common + more) / (area(a) + area(b) - common + more).clamp(min=eps)


def giou(a: Tensor, b: Tensor, eps: float = 1e-7, more: float = 0.0) -> Tensor:
    """Generalized IoU of boxes ``[..., 4]`` and ``[..., 4]``, broadcast; algorithm 1 of arXiv:1902.09630.

    Union and hull are at least ``eps``. Between -1 (far apart) and 1 (equal). In their quotient intersection and union
    are ``more`` than they are.
    """
    common = intersection(a, b)
    union = (area(a) + area(b) - common).clamp(min=eps)
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    width, height = (high - low).clamp(min=0).unbind(-1)
    hull = (width * height).clamp(min=eps)
    return (common + more) / (union + more) - (hull - union) / hull


def overlap_loss(a: Tensor, b: Tensor, kind: str, more: float, beta: float, aspect_above: float) -> Tensor:
    """How badly boxes ``a [..., 4]`` fit boxes ``b [..., 4]``, broadcast: 0 where they are equal.

    Args:
        a: boxes.
        b: boxes.
        kind: ``iou`` (its logarithm), ``linear_iou``, ``square_iou``, ``giou``, ``diou``, ``ciou`` or ``bounded_iou``.
        more: added to the areas of intersection and union (iou, linear_iou, giou).
        beta: difference from which the loss is a line (bounded_iou).
        aspect_above: IoU above which the aspect counts (ciou).
    """
    if kind == "bounded_iou":
        return _bounded_iou(a, b, beta)
    if kind == "iou":
        return -iou(a, b, more=more).clamp(min=1e-6).log()
    if kind == "linear_iou":
        return 1 - iou(a, b, more=more).clamp(min=1e-6)
    if kind == "square_iou":
        return 1 - iou(a, b).square()
    if kind == "giou":
        return 1 - giou(a, b, more=more)
    return 1 - _distance_iou(a, b, aspect_above if kind == "ciou" else None)


def _distance_iou(a: Tensor, b: Tensor, aspect_above: float | None, eps: float = 1e-7) -> Tensor:
    """Distance IoU or, with ``aspect_above``, complete IoU: equations 7 and 10 of arXiv:1911.08287."""
    common = intersection(a, b)
    overlap = common / (area(a) + area(b) - common + eps)
    low, high = torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:])
    diagonal = (high - low).clamp(min=0).square().sum(-1) + eps
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).square().sum(-1) / 4
    result = overlap - apart / diagonal
    if aspect_above is None:
        return result
    slope_a = torch.atan((a[..., 2] - a[..., 0]) / (a[..., 3] - a[..., 1] + eps))
    slope_b = torch.atan((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1] + eps))
    difference = 4 / math.pi**2 * (slope_b - slope_a).square()
    with torch.no_grad():
        share = (overlap > aspect_above) * difference / (1 - overlap + difference).clamp(min=eps)
    return (result - share * difference).clamp(-1.0, 1.0)


def _bounded_iou(a: Tensor, b: Tensor, beta: float, eps: float = 1e-3) -> Tensor:
    """Smooth L1 of one minus an upper bound of the IoU for each of x, y, w and h: section 4 of arXiv:1711.00164."""
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    shift = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]).abs()  # twice the distance of the centres
    by_centre = 1 - ((size_b - shift) / (size_b + shift + eps)).clamp(min=0)
    by_size = 1 - torch.minimum(size_b / (size_a + eps), size_a / (size_b + eps))
    gap = torch.cat([by_centre, by_size], -1)
    return F.smooth_l1_loss(gap, torch.zeros_like(gap), reduction="none", beta=beta).sum(-1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box of ``a [..., A, 4]`` with every one of ``b [..., B, 4]``: ``[..., A, B]``."""
    return iou(a[..., :, None, :], b[..., None, :, :])


def coverage(boxes: Tensor, regions: Tensor, eps: float = 1e-6) -> Tensor:
    """Share of each of ``boxes [..., 4]`` that lies inside ``regions [..., 4]``, broadcast."""
    return intersection(boxes, regions) / area(boxes).clamp(min=eps)


def clip(boxes: Tensor, sizes: Tensor, least: int = 0) -> Tensor:
    """Boxes ``[N, K, 4]`` cut off at the borders of images of ``sizes [N, 2]`` (height, width).

    Of one that ends there or lies outside ``least`` pixels are left.
    """
    limit = sizes.to(boxes.dtype).flip(1).repeat(1, 2).unsqueeze(1)
    if not least:
        return torch.minimum(boxes.clamp(min=0), limit)
    low, high = boxes[..., :2].clamp(min=0), boxes[..., 2:].clamp(min=least)
    return torch.cat([torch.minimum(low, limit[..., :2] - least), torch.minimum(high, limit[..., :2])], -1)


def to_centres(boxes: Tensor) -> Tensor:
    """Centre and size ``x, y, w, h`` of boxes ``[..., 4]``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], -1)


def from_centres(boxes: Tensor) -> Tensor:
    """Boxes ``[..., 4]`` from centre and size ``x, y, w, h``."""
    middle, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([middle - half, middle + half], -1)


def widened(boxes: Tensor) -> Tensor:
    """Boxes ``[..., 4]`` a pixel wider and higher around the same middle.

    So wide does MMDetection 1.x take them to be, whose coordinates are those of pixels, the last one included.
    """
    return torch.cat([boxes[..., :2] - 0.5, boxes[..., 2:] + 0.5], -1)


def encode(anchors: Tensor, boxes: Tensor, stds: tuple[float, float, float, float], legacy: bool = False) -> Tensor:
    """Offsets that move ``anchors [..., 4]`` onto ``boxes [..., 4]``: (dx, dy, dlog w, dlog h) / ``stds``.

    R-CNN, equations 6-9 (arXiv:1311.2524). Empty slots (no width or height) give finite numbers. ``legacy``: both are
    `widened` first.
    """
    if legacy:
        anchors, boxes = widened(anchors), widened(boxes)
    size = (anchors[..., 2:] - anchors[..., :2]).clamp(min=1e-6)
    target = (boxes[..., 2:] - boxes[..., :2]).clamp(min=1e-6)
    centre = (anchors[..., :2] + anchors[..., 2:]) * 0.5
    shift = ((boxes[..., :2] + boxes[..., 2:]) * 0.5 - centre) / size
    return _scaled(torch.cat([shift, (target / size).log()], -1), [1 / std for std in stds])


def decode(
    anchors: Tensor,
    offsets: Tensor,
    stds: tuple[float, float, float, float],
    legacy: bool = False,
    farthest: float | None = None,
    shrink_bound: bool = True,
) -> Tensor:
    """Inverse of `encode`: boxes ``[..., 4]``; the change of size is bounded by 1000 / 16 either way.

    Without ``shrink_bound`` boxes shrink to any size. ``legacy`` boxes stay as wide as they are taken to be, as
    MMDetection's coder for such models leaves them. With ``farthest`` the centre moves by no more than so many pixels
    in x and in y, and a box may shrink to any size.
    """
    if legacy:
        anchors = widened(anchors)
    offsets = _scaled(full_precision(offsets), stds)
    size = anchors[..., 2:] - anchors[..., :2]
    shift, least = size * offsets[..., :2], -MAX_LOG_RATIO if shrink_bound else None
    if farthest is not None:
        shift, least = shift.clamp(-farthest, farthest), None
    centre = (anchors[..., :2] + anchors[..., 2:]) * 0.5 + shift
    half = size * offsets[..., 2:].clamp(least, MAX_LOG_RATIO).exp() * 0.5
    return torch.cat([centre - half, centre + half], -1)


def around_unit(offsets: Tensor) -> Tensor:
    """Boxes ``[..., 4]`` that a box of size 1 around the origin becomes, of offsets a tenth and a fifth as large.

    So PaddleDetection compares offsets as boxes, whatever they were scaled by.
    """
    half = offsets.new_full((2,), 0.5)
    return decode(torch.cat([-half, half]), offsets, (0.1, 0.1, 0.2, 0.2), shrink_bound=False)


def _scaled(offsets: Tensor, factors: Sequence[float]) -> Tensor:
    """``offsets [..., 4]`` times one number per column.

    The numbers are never made a tensor: copying that to a device would make the host wait.
    """
    if all(factor == 1 for factor in factors):
        return offsets
    columns = zip(offsets.unbind(-1), factors, strict=True)
    return torch.stack([column * factor for column, factor in columns], -1)


def best_overlaps(
    boxes: Tensor,
    usable: Tensor | None,
    objects: Tensor,
    valid: Tensor,
    least: float,
    peak: float | None = None,
    ties: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """The object that each box overlaps most, and the boxes that overlap an object most; all in float32.

    A box or an object with a coordinate that is no number, or beyond 1e18 pixels, overlaps nothing.

    Args:
        boxes: ``[A, 4]`` shared by all images or ``[N, A, 4]``.
        usable: bool ``[N, A]``; other boxes overlap nothing. None: all.
        objects: ``[N, G, 4]``.
        valid: bool ``[N, G]``, slots that hold an object.
        least: IoU below which a box's best is not asked for.
        peak: an object claims the boxes of its highest IoU where that is at least this and above 0. None: it does not.
        ties: an object claims all boxes of its highest IoU; False: the first of them.

    Returns:
        Each box's highest IoU ``[N, A]``, where that is at least ``least``, and something lower elsewhere; int64 ``[N,
        A]``, the last slot that claims the box, or else the first of that IoU (any where it is below ``least``); bool
        ``[N, A]``, whether an object claims the box.
    """
    boxes, objects = _sound(boxes), _sound(objects)
    return torch.ops.detzoo.best_overlaps(boxes, usable, objects, valid, least, peak, ties)


def covered(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    """Bool ``[N, A]``: boxes that lie inside one of their image's regions by more than ``share`` of their area.

    Args:
        boxes: ``[A, 4]`` shared by all images or ``[N, A, 4]``.
        regions: ``[N, G, 4]``.
        valid: bool ``[N, G]``, slots that hold a region.
        share: from 0 on.
    """
    return torch.ops.detzoo.covered(_sound(boxes), _sound(regions), valid, share)


def _sound(boxes: Tensor) -> Tensor:
    """Float32 boxes; those whose overlaps could be no number are empty at the origin."""
    boxes = boxes.float()
    return torch.where((boxes.abs() <= _FAR).all(-1, keepdim=True), boxes, 0.0)


@torch.library.custom_op("detzoo::best_overlaps", mutates_args=(), device_types="cpu")
def _best_overlaps(
    boxes: Tensor,
    usable: Tensor | None,
    objects: Tensor,
    valid: Tensor,
    least: float,
    peak: float | None,
    ties: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    objects, valid = _used(objects, valid)
    if least <= 0 or _few(boxes, valid):
        return _plain_overlaps(boxes, usable, objects, valid, least, peak, ties)
    from detzoo.ops import overlaps_index

    return overlaps_index.best_overlaps(boxes, usable, objects, valid, least, peak, ties)


@_best_overlaps.register_kernel("cuda")
def _best_overlaps_cuda(
    boxes: Tensor,
    usable: Tensor | None,
    objects: Tensor,
    valid: Tensor,
    least: float,
    peak: float | None,
    ties: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    from detzoo.ops import overlaps_triton

    return overlaps_triton.best_overlaps(boxes, usable, objects, valid, peak, ties)


@_best_overlaps.register_kernel("mps")
def _plain_overlaps(
    boxes: Tensor,
    usable: Tensor | None,
    objects: Tensor,
    valid: Tensor,
    least: float,
    peak: float | None,
    ties: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    images, slots = valid.shape
    counted = valid.unsqueeze(2) if usable is None else valid.unsqueeze(2) & usable.unsqueeze(1)

    def overlaps() -> Iterator[tuple[int, Tensor]]:
        for start in range(0, slots, _CHUNK):
            some = slice(start, start + _CHUNK)
            yield start, pairwise_iou(objects[:, some], boxes).masked_fill(~counted[:, some], -1.0)

    best = boxes.new_full((images, boxes.shape[-2]), -1.0)
    slot = torch.zeros_like(best, dtype=torch.int64)
    claimed = torch.zeros_like(best, dtype=torch.bool)
    if not best.numel():
        return best, slot, claimed
    peaks = []
    kept = list(overlaps()) if slots <= _CHUNK else None
    for start, found in kept or overlaps():
        value, where = found.max(dim=1)
        better = value > best
        best = torch.where(better, value, best)
        slot = torch.where(better, where + start, slot)
        peaks.append(found.amax(dim=2))
    if peak is not None and slots:
        # 2 is never reached: objects that are absent, or that touch no box at all
        top = torch.cat(peaks, 1)
        top = torch.where((top >= peak) & (top > 0), top, 2.0)
        order = torch.arange(1, slots + 1, device=boxes.device)
        last = torch.zeros_like(slot)
        for start, found in kept or overlaps():
            some = slice(start, start + _CHUNK)
            here = found == top[:, some, None]
            if not ties:
                first = found.argmax(dim=2, keepdim=True)
                here &= first == torch.arange(best.shape[1], device=boxes.device)
            last = torch.maximum(last, (here * order[some, None]).amax(dim=1))
        claimed = last > 0
        slot = torch.where(claimed, last - 1, slot)
    return best, slot, claimed


@_best_overlaps.register_fake
def _best_overlaps_shape(
    boxes: Tensor, usable: Tensor | None, objects: Tensor, valid: Tensor, *given: Any
) -> tuple[Tensor, Tensor, Tensor]:
    best = boxes.new_empty((valid.shape[0], boxes.shape[-2]))
    return best, torch.empty_like(best, dtype=torch.int64), torch.empty_like(best, dtype=torch.bool)


@torch.library.custom_op("detzoo::covered", mutates_args=(), device_types="cpu")
def _covered(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    regions, valid = _used(regions, valid)
    if share < 0 or _few(boxes, valid):
        return _plain_covered(boxes, regions, valid, share)
    from detzoo.ops import overlaps_index

    return overlaps_index.covered(boxes, regions, valid, share)


@_covered.register_kernel("cuda")
def _covered_cuda(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    from detzoo.ops import overlaps_triton

    return overlaps_triton.covered(boxes, regions, valid, share)


@_covered.register_kernel("mps")
def _plain_covered(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    result = valid.new_zeros((valid.shape[0], boxes.shape[-2]))
    for start in range(0, valid.shape[1], _CHUNK):
        some = slice(start, start + _CHUNK)
        inside = coverage(boxes.unsqueeze(-3), regions[:, some].unsqueeze(2)) > share
        result |= (inside & valid[:, some, None]).any(dim=1)
    return result


@_covered.register_fake
def _covered_shape(boxes: Tensor, regions: Tensor, valid: Tensor, share: float) -> Tensor:
    return valid.new_empty((valid.shape[0], boxes.shape[-2]))


def _used(objects: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Slots up to the last that any image uses."""
    used = valid.any(0).nonzero()
    slots = int(used[-1]) + 1 if len(used) else 0
    return objects[:, :slots], valid[:, :slots]


def _few(boxes: Tensor, valid: Tensor) -> bool:
    """Whether comparing everything is faster than sorting the boxes, as measured on a CPU."""
    sets = len(boxes) if boxes.dim() == 3 else 1
    return valid.numel() * boxes.shape[-2] <= 5 * boxes.numel() // 4 + 100_000 * sets
