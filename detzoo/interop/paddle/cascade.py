"""Cascade (Mask) R-CNN from the settings of PaddleDetection's dynamic-graph releases."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.two_stage import (
    WEIGHTS,
    detections,
    mask_head,
    of_training,
    roi_extractor,
    sampled,
    shared_layers,
    stds,
    two_stages,
)
from detzoo.interop.section import Section
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.recipes.paddle_columns import CASCADE_HEAD

_IOUS = (0.5, 0.6, 0.7)
_WEIGHTS = [[factor * weight for weight in WEIGHTS] for factor in (1, 2, 3)]


def cascade_rcnn(parts: Parts, model: Section, input: Input) -> CascadeRCNN.Config | CascadeMaskRCNN.Config:
    """``CascadeRCNN``, with a ``mask_head`` or without."""
    if not model.has("neck"):
        model.differs("neck", "is missing; a cascade here has one")
    settings = two_stages(parts, model, input, _box_head)
    del settings["roi_stage"]
    settings |= {"stages": _stages(parts, model), "averaged": "probabilities", "objects_once": True}
    if not model.has("mask_head"):
        model.ignore("mask_post_process")  # of none
        return CascadeRCNN.Config.model_validate(settings)
    settings["mask_head"] = mask_head(parts, model, False) | {"weight": 1 / settings["stages"][0]["weight"]}
    return CascadeMaskRCNN.Config.model_validate({**settings, "one_mask_head": True})


def _box_head(parts: Parts, model: Section, maps: int) -> dict[str, Any]:
    """``CascadeHead``, all of it that its stages share."""
    with parts.part(model, "bbox_head", "CascadeHead") as given:
        given.ignore("num_cascade_stages", "bbox_weight", "stage_loss_weights")  # `_stages`
        settings = roi_extractor(parts, given, maps)
        with parts.part(given, "head", "CascadeTwoFCHead", "CascadeXConvNormHead") as layers:
            layers.ignore("num_cascade_stage")
            settings |= shared_layers(parts, layers)
        with parts.part(given, "bbox_assigner", "BBoxAssigner", training=True) as learned:
            settings |= sampled(learned)
            learned.ignore("cascade_iou", "fg_thresh", "bg_thresh")  # the first of which is read by `_stages`
        agnostic = given.flag("reg_class_agnostic", True)
        settings |= {"class_agnostic": agnostic, "by_best": not agnostic}
        of_training(given)
        given.fixed("add_gt_as_proposals", [True, False, False])
        weights = _of_stages(given)[-1]
    return CASCADE_HEAD.model_dump() | settings | detections(parts, model, weights)


def _of_stages(given: Section) -> tuple[tuple[float, ...], ...]:
    """What divides the box offsets of each stage."""
    found = given.each("bbox_weight", lambda stages, at: stages.numbers(at, count=4), _WEIGHTS)
    given.fixed("num_cascade_stages", len(found))
    return found


def _stages(parts: Parts, model: Section) -> list[dict[str, Any]]:
    given = parts.part(model, "bbox_head", "CascadeHead")
    weights = _of_stages(given)
    count = len(weights)
    ious = parts.part(given, "bbox_assigner", "BBoxAssigner", training=True).numbers("cascade_iou", _IOUS, count)
    parts_of_loss = given.numbers("stage_loss_weights", (1 / count,) * count, count)
    return [
        {
            "match": {"positive": iou, "negative": iou},
            "stds": stds(given, "bbox_weight", row),
            "weight": share,
        }
        for iou, row, share in zip(ious, weights, parts_of_loss, strict=True)
    ]


__all__ = ["cascade_rcnn"]
