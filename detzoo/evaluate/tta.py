"""Several views of each image, and one result of all: test-time augmentation.

As in MMDetection's `DetTTAModel`, what the method finds in each view is put on the image, and the method's own last
suppression within a class goes over all of it. That class refuses masks. Here a merged detection's mask is the mean of
the probabilities that the views give it (as Mask R-CNN, arXiv:1703.06870, appendix B), in the frame of the merged box:
of the box itself, and of those that it suppresses, the one of each view that overlaps it most. As PaddleDetection's
multi-scale test, suppression may go over all boxes of all views, and boxes move to the mean of those around them
(voting; arXiv:1505.01749, section 5).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from detzoo.config import Config
from detzoo.detector import Detector
from detzoo.evaluate.inference import detect_on_host, in_original_pixels, unsuppressed
from detzoo.ops.boxes import pairwise_iou
from detzoo.ops.masks import sample
from detzoo.ops.nms import rank, select
from detzoo.ops.soft_nms import soft_nms
from detzoo.recipes.recipe import Recipe
from detzoo.tta import TTA, pick_tta
from detzoo.types import Detections

NMS = 0.5  # IoU of boxes that are one object, where the method suppresses nothing (DETR); MMDetection's, too


@dataclasses.dataclass(frozen=True, slots=True)
class Suppression:
    """How a method's detections are merged.

    Attributes:
        nms: IoU above which the lesser of two boxes of a class is dropped.
        soft: settings of `soft_nms` where the method takes score away instead, or None.
        detections: most that are kept; None: as many as a view has slots.
    """

    nms: float
    soft: dict[str, Any] | None
    detections: int | None


def suppression_of(detector: Detector, nms: float | None = None) -> Suppression:
    """A method's last suppression, by its settings: of the part with ``detections``, or else of proposals.

    ``nms`` takes the place of its own, also where that is soft.
    """
    part = next(parts_with("detections", detector.config), None) or next(parts_with("proposals", detector.config), None)
    limit = getattr(part, "detections", None) or getattr(part, "proposals", None)
    if nms is not None:
        return Suppression(nms, None, limit)
    soft = getattr(part, "soft_nms", None)
    return Suppression(getattr(part, "nms", NMS), soft.model_dump() if isinstance(soft, Config) else soft, limit)


def parts_with(name: str, config: Config) -> Iterator[Config]:
    """The settings that have a value of that name, outermost first."""
    if name in type(config).model_fields:
        yield config
    for field in type(config).model_fields:
        if isinstance(part := getattr(config, field), Config):
            yield from parts_with(name, part)


def views_of(detector: Detector, tta: Any) -> TTA | None:
    """What `detzoo.tta.pick_tta` makes of ``tta`` for a detector, whose recipe may know what it was published with."""
    published = detector.recipe.published if isinstance(detector.recipe, Recipe) else None
    return pick_tta(tta, published.tta if published else None)


def detect_views(
    detector: Detector,
    views: TTA,
    scaled: Sequence[tuple[Tensor, Tensor]],
    originals: Sequence[Sequence[int]],
    proposals: tuple[Tensor, Tensor] | None = None,
) -> list[Detections]:
    """Detections of each image of a batch, merged from all views, on the CPU and in pixels of the image file.

    One network call a view; what a view found stays on the host until the last one is seen.

    Args:
        detector: in any mode, which stays as it is.
        views: what the images are looked at in.
        scaled: for each of ``views.scales`` the images, uint8 RGB ``[N, 3, H, W]``, zero-padded at right and bottom,
            and sizes int64 ``[N, 2]`` without padding. Only one scale's images need have one canvas.
        originals: height and width of each image file.
        proposals: for a detector that takes them, float32 ``[N, P, 4]`` xyxy pixels, and the height and width
            ``[N, 2]`` of the images that these lie on.

    Raises:
        ValueError: the detector takes proposals and there are none; or it has no second stage, whose suppression
            ``views`` leave out.
    """
    rule = suppression_of(detector, views.nms)
    if not views.first_nms:
        detector = unsuppressed(detector)
    found: list[_View] = []
    files = torch.tensor(originals, device="cpu")
    for pixels, sizes in scaled:
        given = None if proposals is None else proposals[0] * _factors(sizes, proposals[1])
        for axes in views.flips:
            boxes = None if given is None else _mirrored_boxes(given, sizes.unsqueeze(1), axes)
            seen = detect_on_host(detector, _mirrored(pixels, sizes, axes), sizes, boxes, files)
            found.append(_View(seen, sizes, axes))
    classes = len(detector.classes)
    return [
        _merged([view.of(image, size) for view in found], rule, views, classes) for image, size in enumerate(originals)
    ]


def _factors(sizes: Tensor, before: Tensor) -> Tensor:
    """What boxes ``[N, P, 4]`` are multiplied by when images of sizes ``before [N, 2]`` are resized to ``sizes``."""
    return (sizes / before).flip(1).repeat(1, 2).unsqueeze(1)


def _mirrored(pixels: Tensor, sizes: Tensor, axes: Sequence[int]) -> Tensor:
    """Images mirrored within their ``sizes``: the padding stays where it is."""
    if not axes:
        return pixels
    turned = pixels.clone()
    for image, (height, width) in zip(turned, sizes.tolist(), strict=True):
        inside = image[:, :height, :width]
        inside.copy_(inside.flip([axis + 1 for axis in axes]))
    return turned


def _mirrored_boxes(boxes: Tensor, size: Tensor, axes: Sequence[int]) -> Tensor:
    """Boxes ``[..., 4]`` on a mirrored image of height and width ``size [..., 2]``."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    if 0 in axes:
        y1, y2 = size[..., 0] - y2, size[..., 0] - y1
    if 1 in axes:
        x1, x2 = size[..., 1] - x2, size[..., 1] - x1
    return torch.stack([x1, y1, x2, y2], -1)


@dataclasses.dataclass(frozen=True, slots=True)
class _View:
    """What was found in one view of a batch, in pixels of the network input."""

    found: Detections
    sizes: Tensor
    axes: tuple[int, ...]  # along which the images are mirrored

    def of(self, image: int, original: Sequence[int]) -> _Seen:
        """What was found of one image, and put on it."""
        found = self.found[image]
        size = self.sizes[image].tolist()
        placed = in_original_pixels(dataclasses.replace(found, dense=None), size, original)
        boxes = _mirrored_boxes(placed.boxes, placed.boxes.new_tensor(original), self.axes)
        crops, spans = placed.crops, placed.crop_boxes
        if crops is not None:
            crops = crops.flip([axis - 2 for axis in self.axes])
        if spans is not None:
            spans = _mirrored_boxes(spans, spans.new_tensor(original), self.axes)
        placed = dataclasses.replace(placed, boxes=boxes, crops=crops, crop_boxes=spans)
        return _Seen(placed, found, self.found.boxes.shape[1], size, original, self.axes)


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """What one view has of one image.

    Attributes:
        placed: in pixels of the image file; without dense masks, which cost too much before it is known which are kept.
        found: in pixels of the network input.
        slots: how many detections there may be.
        size, original: height and width in the network input and of the file.
        axes: along which the view is mirrored.
    """

    placed: Detections
    found: Detections
    slots: int
    size: Sequence[int]
    original: Sequence[int]
    axes: tuple[int, ...]

    def dense(self, rows: Tensor) -> Tensor:
        """Masks of some detections, bool ``[M, H, W]`` on the image file."""
        masks = in_original_pixels(self.found.pick(rows), self.size, self.original).dense
        assert masks is not None
        return masks.flip([axis - 2 for axis in self.axes])


def _merged(views: Sequence[_Seen], rule: Suppression, how: TTA, classes: int) -> Detections:
    """One image's detections of all views in one, best first."""
    if len(views) == 1 and how.first_nms and how.votes is None:
        (view,) = views
        everything = torch.arange(len(view.placed))
        return (
            view.placed if view.found.dense is None else dataclasses.replace(view.placed, dense=view.dense(everything))
        )
    boxes, labels, given = (
        torch.cat([getattr(view.placed, name) for view in views]) for name in ("boxes", "labels", "scores")
    )
    scores, valid = given.unsqueeze(0), torch.ones(1, len(boxes), dtype=torch.bool)
    limit = rule.detections or max(view.slots for view in views)
    overlap = {"threshold": rule.nms, "limit": limit}
    if rule.soft is None:
        order, kept = select(boxes[None], scores, valid, groups=labels[None], group_count=classes, **overlap)
    else:
        scores, left = soft_nms(boxes[None], scores, valid, labels[None], **overlap, **rule.soft)
        order, kept = rank(scores, left, limit)
    rows = order[kept]
    merged: dict[str, Any] = {"boxes": boxes[rows], "scores": scores[0, rows], "labels": labels[rows]}
    if how.votes is not None:
        merged["boxes"] = _voted(boxes, given, labels, rows, how.votes)
    first = views[0]
    if first.placed.crops is not None or first.found.dense is not None:
        chosen = _chosen(boxes, labels, rows, rule.nms, [len(view.placed) for view in views])
        if first.placed.crops is not None:
            spans = torch.cat([view.placed.mask_boxes for view in views])
            merged["crops"] = _mean_crops(views, chosen, spans, rows)
            moved = first.placed.crop_boxes is not None or how.votes is not None
            merged["crop_boxes"] = spans[rows] if moved else None
        if first.found.dense is not None:
            merged["dense"] = _majority(views, chosen)
    return dataclasses.replace(first.placed, valid=torch.ones(len(rows), dtype=torch.bool), **merged)


def _voted(boxes: Tensor, scores: Tensor, labels: Tensor, rows: Tensor, least: float) -> Tensor:
    """Boxes ``[M, 4]``: for each of ``rows`` the mean, by scores, of those of its class that overlap it so.

    Args:
        boxes: ``[K, 4]`` of all views.
        scores: ``[K]``.
        labels: ``[K]``.
        rows: int64 ``[M]``, each of which votes itself.
        least: IoU.
    """
    close = (pairwise_iou(boxes[rows], boxes) >= least) & (labels[rows].unsqueeze(1) == labels)
    close |= torch.arange(len(boxes)) == rows.unsqueeze(1)
    weights = close * scores
    total = weights.sum(1, keepdim=True)
    return torch.where(total > 0, weights @ boxes / total, boxes[rows])  # votes of no weight change nothing


def _chosen(boxes: Tensor, labels: Tensor, rows: Tensor, threshold: float, counts: Sequence[int]) -> list[Tensor]:
    """Which detection of each view belongs to each merged one: int64 ``[M]`` numbers within the view, -1 for none.

    A detection belongs to itself if it is kept, and else to the best that it overlaps by more than ``threshold``.

    Args:
        boxes: ``[K, 4]`` of all views.
        labels: ``[K]``.
        rows: int64 ``[M]``, those that are kept, best first.
        threshold: IoU.
        counts: detections of each view.
    """
    overlap = pairwise_iou(boxes[rows], boxes)
    close = (overlap > threshold) & (labels[rows].unsqueeze(1) == labels)
    itself = torch.arange(len(boxes)) == rows.unsqueeze(1)
    close = torch.where(itself.any(0), itself, close)
    mine = close & (close.cumsum(0) == 1)
    value = torch.where(mine, overlap, -1.0).masked_fill(itself, 2.0)  # more than any overlap
    chosen = []
    for part in value.split(list(counts), 1):
        if not part.shape[1]:
            chosen.append(rows.new_full(rows.shape, -1))
            continue
        best, place = part.max(1)
        chosen.append(torch.where(best >= 0, place, -1))
    return chosen


def _mean_crops(views: Sequence[_Seen], chosen: Sequence[Tensor], boxes: Tensor, rows: Tensor) -> Tensor:
    """Mean mask probabilities ``[M, h, w]`` in merged boxes ``boxes[rows]``, on the finest grid of any view."""
    kept, grids = boxes[rows], [view.placed.crops.shape[1:] for view in views if view.placed.crops is not None]
    high, wide = max(grid[0] for grid in grids), max(grid[1] for grid in grids)
    extent = (kept[:, 2:] - kept[:, :2]).clamp(min=1e-6).repeat(1, 2)
    total, count, start = torch.zeros(()), torch.zeros(len(rows)), 0
    for view, place in zip(views, chosen, strict=True):
        crops = view.placed.crops
        assert crops is not None
        has = place >= 0
        drawn = crops.new_zeros(len(rows), high, wide)
        # where the other box lies on the grid of the merged one
        grid = kept.new_tensor([wide, high] * 2)
        on_grid = (boxes[start + place.clamp(min=0)] - kept[:, :2].repeat(1, 2)) / extent * grid
        finest = crops.shape[1:] == (high, wide)
        itself = has & (rows == start + place) & finest
        other = has & ~itself
        drawn[other] = sample(crops[place[other]], on_grid[other], (0, high), (0, wide))
        if finest:
            drawn[itself] = crops[place[itself]]
        total, count, start = total + drawn, count + has, start + len(crops)
    return total / count[:, None, None]


def _majority(views: Sequence[_Seen], chosen: Sequence[Tensor]) -> Tensor:
    """Pixels ``[M, H, W]`` that at least half of the views have inside."""
    count = torch.zeros(len(chosen[0]), dtype=torch.uint8)
    votes = torch.zeros((len(chosen[0]), *views[0].original), dtype=torch.uint8)
    for view, place in zip(views, chosen, strict=True):
        has = place >= 0
        votes[has] += view.dense(place[has])
        count += has
    return 2 * votes >= count[:, None, None]
