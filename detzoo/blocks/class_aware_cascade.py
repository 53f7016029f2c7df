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

# pixels: a RoI's middle is taken to be between the corners of its first and of its last pixel
SHIFT = 0.5


@torch.no_grad()
def placed_by_class(head: BoxHead, raw: RawBoxes, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """What a head of a stage makes of boxes ``[N, R, 4]``, from the logits and offsets that it gave for them.

    Returns:
        The box of each class ``[N, R, C, 4]``; and that of the best class ``[N, R, 4]``, a RoI of the next stage.
    """
    logits, offsets = raw
    config = head.config
    placed = decode(boxes.unsqueeze(2), offsets, config.stds, shrink_bound=config.shrink_bound) - SHIFT
    best = logits[..., :-1].argmax(-1)[..., None, None].expand(-1, -1, 1, 4)
    return placed, placed.gather(2, best).squeeze(2)


def best_of_stages(
    heads: Sequence[BoxHead],
    score: Callable[[BoxHead, Tensor], RawBoxes],
    boxes: Tensor,
    valid: Tensor,
    images: Images,
    shares: Sequence[float],
) -> Detections:
    """Detections from the mean of what all stages find of a RoI and a class: of its probability and of its box.

    Args:
        heads: one for each stage, with a box for each class.
        score: gives logits and offsets that a head finds for boxes ``[N, P, 4]``.
        boxes: the proposals ``[N, P, 4]``.
        valid: bool ``[N, P]``.
        images: that they are of.
        shares: of the stages in the mean.

    Returns:
        Detections in pixels of the network input, as the settings of the last head say.
    """
    scores, places = [], []
    for head, share in zip(heads, shares, strict=True):
        raw = score(head, boxes)
        placed, boxes = placed_by_class(head, raw, boxes)
        scores.append(full_precision(raw[0]).softmax(-1)[..., :-1] * share)
        places.append(placed * share)
    config, classes = heads[-1].config, heads[-1].classes
    means, found = torch.stack(scores).sum(0).flatten(1), torch.stack(places).sum(0).flatten(1, 2)
    usable = (means > config.threshold) & valid.repeat_interleave(classes, 1)
    pair, used = rank(means, usable, config.candidates)
    # all that is left to do in the file is to end there
    ended = moved_in_files(pick(found, pair), images, lambda some: some)
    limits = config.nms, config.soft_nms, config.detections, classes
    return suppressed(ended, means.gather(1, pair), pair % classes, used, *limits, images)
