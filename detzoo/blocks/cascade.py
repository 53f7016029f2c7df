"""Box heads in a row, each refining what the one before it found: Cascade R-CNN (arXiv:1712.00726), section 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.roi_heads import BoxHead, RawBoxes
from detzoo.blocks.rpn import RPN
from detzoo.config import Config as BaseConfig
from detzoo.detector import DetectorConfig
from detzoo.ops.boxes import full_precision
from detzoo.types import Images


class Stage(BaseConfig):
    """What one stage of a cascade does otherwise than the others."""

    match: MatchConfig  # IoU that it learns from
    stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)  # of box offsets
    bucket_scale: float | None = Field(default=None, gt=0)  # that of a `SideAware`; None: as in `box_head`
    weight: float = Field(ge=0)  # of its losses


# how the scores of a cascade's stages become one: the mean of their logits or of their probabilities, each for the
# boxes that the stage is given, or the mean probability of the last stage's boxes
Averaged = Literal["logits", "probabilities", "last_boxes"]

# each stage asks for more overlap and moves boxes less
STAGES = (
    Stage(match=MatchConfig(positive=0.5, negative=0.5), stds=(0.1, 0.1, 0.2, 0.2), weight=1.0),
    Stage(match=MatchConfig(positive=0.6, negative=0.6), stds=(0.05, 0.05, 0.1, 0.1), weight=0.5),
    Stage(match=MatchConfig(positive=0.7, negative=0.7), stds=(0.033, 0.033, 0.067, 0.067), weight=0.25),
)
# those of Hybrid Task Cascade and SCNet also give every object its best RoI, if that overlaps it enough
HYBRID_STAGES = tuple(stage.replace(match=stage.match.replace(low_quality=stage.match.positive)) for stage in STAGES)
# what the published cascades do otherwise than Faster R-CNN
CASCADE_RPN = RPN.Config(border=0.0, box_loss=BoxLoss(kind="smooth_l1", beta=1 / 9), train_proposals=2000)
CASCADE_BOX_HEAD = BoxHead.Config(class_agnostic=True, box_loss=BoxLoss(kind="smooth_l1"))


class CascadeConfig(DetectorConfig):
    """Settings that methods with such heads share."""

    rpn: RPN.Config = CASCADE_RPN
    box_head: BoxHead.Config = CASCADE_BOX_HEAD  # of every stage, but for what `stages` says
    stages: tuple[Stage, ...] = Field(default=STAGES, min_length=1)
    roi_levels: int = 4  # finest pyramid levels that RoIs are pooled from
    averaged: Averaged = "logits"  # what of the stages' scores is averaged
    # objects are RoIs of the first stage alone, and every later stage learns from all that the one before it moved;
    # False: they are put in again, as they are, in place of those that were moved
    objects_once: bool = False
    shared_layers: bool = False  # by all stages, but for those that give scores and offsets


def box_heads(
    config: BoxHead.Config,
    stages: Sequence[Stage],
    channels: int,
    classes: int,
    levels: int,
    objects_once: bool = False,
    shared_layers: bool = False,
) -> Sequence[BoxHead]:
    """One head per stage, as an ``nn.ModuleList``, for ``levels`` of features of ``channels`` and ``classes``.

    With ``objects_once`` all but the first sample what they are given, and nothing else.
    """
    heads = [BoxHead(_of_stage(config, stage), channels, classes, levels=levels) for stage in stages]
    for head in heads[1:]:
        if objects_once:
            head.config = head.config.replace(objects=False, positives=1.0)
        if shared_layers:
            for name in ("shared_convs", "shared_fcs"):
                delattr(head, name)  # parameters of the first alone, so that they stand in its files once
                vars(head)[name] = getattr(heads[0], name)
    return cast("Sequence[BoxHead]", nn.ModuleList(heads))


def _of_stage(config: BoxHead.Config, stage: Stage) -> BoxHead.Config:
    config = config.replace(match=stage.match, stds=stage.stds)
    if config.side_aware is None or stage.bucket_scale is None:
        return config
    return config.replace(side_aware=config.side_aware.replace(scale=stage.bucket_scale))


def refined(
    heads: Sequence[BoxHead],
    score: Callable[[BoxHead, Tensor], RawBoxes],
    boxes: Tensor,
    images: Images,
    averaged: Averaged = "logits",
) -> tuple[RawBoxes, Tensor]:
    """Send proposals ``[N, P, 4]`` through all stages.

    Args:
        heads: one for each stage.
        score: gives logits and offsets that a head finds for boxes ``[N, P, 4]``.
        boxes: the proposals.
        images: that they are of.
        averaged: what the class logits are the mean of.

    Returns:
        Class logits ``[N, P, C + 1]``, the mean of all stages (of probabilities: its logarithm), with the last stage's
        offsets ``[N, P, C or 1, 4]``; and the boxes ``[N, P, 4]`` that these start from.
    """
    first, *others = heads
    logits, offsets = score(first, boxes)
    scores = [logits]
    for head, before in zip(others, heads, strict=False):  # a stage needs the boxes of the one before
        boxes = before.refine((scores[-1], offsets), boxes, images)
        logits, offsets = score(head, boxes)
        scores.append(logits)
    if averaged == "logits":
        return (torch.stack(scores).mean(0), offsets), boxes
    if averaged == "last_boxes":
        scores[:-1] = [score(head, boxes)[0] for head in heads[:-1]]
    return (full_precision(torch.stack(scores)).softmax(-1).mean(0).log(), offsets), boxes
