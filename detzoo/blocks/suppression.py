"""The last step of a second stage: which of its boxes are detections."""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from detzoo.config import Config as BaseConfig
from detzoo.ops.boxes import clip, pick
from detzoo.ops.nms import rank, select
from detzoo.ops.soft_nms import Method, soft_nms
from detzoo.types import Detections, Images


class SoftNMS(BaseConfig):
    """Suppression that takes score away instead of dropping boxes; see `detzoo.ops.soft_nms.soft_nms`."""

    method: Method = "linear"
    sigma: float = Field(default=0.5, gt=0)  # gaussian: spread
    min_score: float = Field(default=1e-3, ge=0, le=1)  # boxes that fall below it are dropped


def moved_in_files(boxes: Tensor, images: Images, move: Callable[[Tensor], Tensor]) -> Tensor:
    """Boxes ``[N, K, 4]`` that ``move`` moves, in pixels of the image files, where they end.

    Each is taken there with its first and its last pixel, so that it is not as much larger as the file.
    """
    scales, across = images.in_files()
    last = torch.cat([torch.zeros_like(boxes[..., :2]), torch.ones_like(boxes[..., 2:])], -1)
    sizes = (images.sizes / scales).round()
    return clip(move((boxes - last) / across + last), sizes, 1)


def suppressed(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    used: Tensor,
    nms: float,
    soft: SoftNMS | None,
    limit: int,
    classes: int,
    in_files: Images | None = None,
) -> Detections:
    """The best ``limit`` of the boxes of each image that survive suppression within their class.

    Args:
        boxes: ``[N, K, 4]``.
        scores: ``[N, K]``.
        labels: int64 ``[N, K]``, below ``classes``.
        used: bool ``[N, K]``.
        nms: IoU above which the lesser box is dropped.
        soft: None: what overlaps a better box so is dropped.
        limit: number of detections.
        classes: number of them.
        in_files: of whose files the boxes are in pixels, the last of which takes part; None: in those of the network.

    Returns:
        Detections in pixels of the network input.
    """
    if soft is None:
        order, kept = select(boxes, scores, used, nms, limit, labels, classes, pixels=in_files is not None)
    else:
        # one by one: the compiler cannot look into `model_dump`
        scores, used = soft_nms(
            boxes,
            scores,
            used,
            labels,
            threshold=nms,
            method=soft.method,
            sigma=soft.sigma,
            min_score=soft.min_score,
            limit=limit,
        )
        order, kept = rank(scores, used, limit)
    if in_files is not None:
        boxes = boxes * in_files.in_files()[1]
    return Detections(
        boxes=pick(boxes, order) * kept.unsqueeze(-1),
        scores=scores.gather(1, order) * kept,
        labels=labels.gather(1, order) * kept,
        valid=kept,
    )
