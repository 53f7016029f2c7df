"""A cascade whose heads have a box for each class, as PaddleDetection's static-graph releases have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from detzoo.blocks.roi_heads import BoxHead, RawBoxes
from detzoo.blocks.suppression import moved_in_files, suppressed
from detzoo.ops.boxes import decode, full_precision, pick
from detzoo.ops.nms import rank
from detzoo.types import Detections, Images


def best_of_stages(
    heads: Sequence[BoxHead],
    score: Callable[[BoxHead, Tensor], RawBoxes],
    boxes: Tensor,
    valid: Tensor,
    images: Images,
    shares: Sequence[float],
) -> Detections:
    """Detections from the mean of what all stages find of a RoI and a class: of its probability and of its box.

    A stage gives the next one the box of each RoI's best class.

    Args:
        heads: one for each stage, with a box for each class.
        score: gives logits and offsets that a head finds for boxes ``[N, P, 4]``.
        boxes: the proposals ``[N, P, 4]``.
        valid: bool ``[N, P]``.
        images: that they are of.
        shares: of the stages in the mean.

    Returns:
        Detections in pixels of the network input, from the settings of the last head.
    """
    scores, places = [], []
    for head in heads:
        raw = logits, offsets = score(head, boxes)
        scores.append(full_precision(logits).softmax(-1)[..., :-1])
        config = head.config
        places.append(decode(boxes.unsqueeze(2), offsets, config.stds, shrink_bound=config.shrink_bound))
        boxes = head.refine(raw, boxes, images)
    config, classes = heads[-1].config, heads[-1].classes
    mean, found = (
        torch.stack([share * one for share, one in zip(shares, some, strict=True)]).sum(0).flatten(1, 2)
        for some in (scores, places)
    )
    usable = (mean > config.threshold) & valid.repeat_interleave(classes, 1)
    pair, used = rank(mean, usable, config.candidates)
    placed = moved_in_files(pick(found, pair), images, lambda some: some)
    limits = config.nms, config.soft_nms, config.detections, classes
    return suppressed(placed, mean.gather(1, pair), pair % classes, used, *limits)
