"""What YOLOv3's priors learn where an object has one answering prior (arXiv:1804.02767, section 2.1).

So the original Darknet and PaddleDetection train: the prior answers whose shape fits best among those of all maps, and
what a prior predicts decides whether it is background.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from detzoo.blocks.anchors import ShapedAnchors
from detzoo.blocks.losses import BoxesLoss, binary_loss, box_loss
from detzoo.config import Config
from detzoo.ops.boxes import best_overlaps, iou
from detzoo.types import Targets


class ByShape(Config):
    """What is learned where an object's prior is that of all maps whose shape fits it best."""

    background: float = Field(default=0.7, ge=0, le=1)  # greatest IoU of a predicted box that is background, otherwise
    smoothing: bool = False  # a class is to be 1 - d or d, the smaller of 1 / 40 and 1 / classes, not 1 or 0
    box_loss: BoxesLoss | None = None  # of predicted boxes, beside the losses of places and sizes
    iou_weight: float = Field(default=1.0, ge=0)  # of loss_iou_aware


class Answers(NamedTuple):
    """Which prior answers for each of G objects.

    Attributes:
        prior: int64 ``[N, G]``, its number among A.
        counts: float32 ``[N, G]``, what the object counts; 0 where a later one has the same prior, or there is none.
        labels: bool ``[N, G, C]``: the classes of all objects that have this prior.
    """

    prior: Tensor
    counts: Tensor
    labels: Tensor


@torch.no_grad()
def answers(
    priors: ShapedAnchors, sizes: Sequence[Sequence[int]], targets: Targets, canvas: Sequence[int], classes: int
) -> Answers:
    """The prior of each object: in the cell that holds its centre, the one of all whose width and height fit best.

    Args:
        priors: of the maps, A in all.
        sizes: height and width of the maps.
        targets: objects.
        canvas: height and width of the input.
        classes: their number.
    """
    boxes, around = targets.boxes, priors.around
    extent = boxes[..., 2:] - boxes[..., :2]
    origin = torch.zeros_like(extent)
    shapes = torch.cat([torch.zeros_like(around[:, 2:]), around[:, 2:] - around[:, :2]], 1)
    best = iou(torch.cat([origin, extent], -1).unsqueeze(2), shapes).argmax(2)
    x, y = (boxes[..., :2] + extent * 0.5).unbind(-1)
    exists = targets.valid & (extent > 0).all(-1)
    counts = exists.float() if targets.shares is None else exists * targets.shares
    exists = counts > 0
    prior = torch.zeros_like(targets.labels)
    start = first = 0
    for (height, width), count in zip(sizes, priors.per_cell, strict=True):
        column = (x / canvas[1] * width).long().clamp(0, width - 1)
        row = (y / canvas[0] * height).long().clamp(0, height - 1)
        here = (best >= first) & (best < first + count)
        prior = torch.where(here, start + (row * width + column) * count + best - first, prior)
        start, first = start + height * width * count, first + count
    same = (prior.unsqueeze(2) == prior.unsqueeze(1)) & exists.unsqueeze(1)
    later = same.triu(1).any(2)
    own = targets.labels.unsqueeze(-1) == torch.arange(classes, device=boxes.device)
    labels = (same.float() @ own.float()) > 0
    return Answers(prior, counts * ~later, labels)


def losses(
    config: ByShape,
    found: Answers,
    raw: tuple[Tensor, Tensor],
    boxes: tuple[Tensor, Tensor],
    wanted: tuple[Tensor, Tensor],
    targets: Targets,
    canvas: Sequence[int],
) -> dict[str, Tensor]:
    """Losses ``loss_cls``, ``loss_conf``, ``loss_xy``, ``loss_wh``, and those asked for: ``loss_iou`` of boxes and
    ``loss_iou_aware`` of predicted IoUs. Each is the sum over an image, of all images the mean.

    Args:
        config: what is learned.
        found: the answering priors.
        raw: predictions ``[N, A, 5 + C]`` (x, y, w, h, object, classes) of all priors and ``[N, G, 5 + C]`` of those;
            one more, if IoUs are predicted.
        boxes: decoded ones alike, ``[N, A, 4]`` and ``[N, G, 4]`` xyxy pixels.
        wanted: place within the cell and log size ratio of each object, ``[N, G, 2]``.
        targets: objects.
        canvas: height and width of the input.
    """
    everywhere, here = raw
    counts, classes = found.counts, found.labels.shape[2]
    extent = targets.boxes[..., 2:] - targets.boxes[..., :2]
    weights = counts * (2 - extent[..., 0] / canvas[1] * (extent[..., 1] / canvas[0]))  # small objects count more
    told, delta = found.labels.float(), min(1 / 40, 1 / classes)
    if config.smoothing:
        told = told * (1 - 2 * delta) + delta
    slots = torch.where(counts > 0, found.prior, everywhere.shape[1])
    shares = counts.new_zeros(len(slots), everywhere.shape[1] + 1).scatter(1, slots, counts)[:, :-1]
    near = best_overlaps(boxes[0].detach(), None, targets.boxes, targets.valid, least=config.background)[0]
    background = (shares <= 0) & (near <= config.background)
    place, size = wanted
    each = weights.unsqueeze(-1)
    result = {
        "loss_cls": binary_loss(here[..., 5 : 5 + classes], told, counts.unsqueeze(-1)),
        "loss_conf": binary_loss(everywhere[..., 4], shares > 0, shares + background),
        "loss_xy": binary_loss(here[..., :2], place, each),
        "loss_wh": ((here[..., 2:4] - size).abs() * each).sum(),
    }
    if config.box_loss is not None:
        result["loss_iou"] = box_loss(boxes[1], targets.boxes, weights, config.box_loss)
    if here.shape[2] > 5 + classes:
        overlap = iou(boxes[1].detach(), targets.boxes)
        result["loss_iou_aware"] = binary_loss(here[..., 5 + classes], overlap, counts) * config.iou_weight
    return {name: loss / len(slots) for name, loss in result.items()}
