"""YOLOv3 from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.drop_block import DropBlock
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.yolo_loss import ByShape
from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.suppression import suppressed
from detzoo.interop.section import LARGEST, Section
from detzoo.methods.yolov3 import YOLOv3
from detzoo.necks.yolo import YOLONeck
from detzoo.recipes.paddle_yolov3 import PADDLE_YOLO_HEAD

_PRIORS = [[10, 13], [16, 30], [33, 23], [30, 61], [62, 45], [59, 119], [116, 90], [156, 198], [373, 326]]
_MASKS = [[6, 7, 8], [3, 4, 5], [0, 1, 2]]


def yolov3(parts: Parts, model: Section, input: Input) -> YOLOv3.Config:
    """``YOLOv3``; what every model there has is in `PADDLE_YOLO_HEAD`."""
    neck = YOLONeck.Config()
    model.ignore("use_fine_grained_loss", "for_mot")  # how losses are computed; of trackers
    if not parts.static:
        with parts.part(model, "neck", "YOLOv3FPN") as given:
            given.fixed("freeze_norm", False)
            given.ignore("norm_type")  # synchronized or not
    with parts.part(model, "yolo_head", "YOLOv3Head") as given:
        given.ignore("name")
        settings: dict[str, Any] = {"priors": _priors(given)}
        if given.flag("iou_aware", False):
            settings["iou_aware"] = given.number("iou_aware_factor", 0.4)
        given.ignore("iou_aware_factor")  # without the branch
        if given.flag("drop_block", False):
            neck = YOLONeck.Config(drop=DropBlock.Config())
        with parts.part(given, "yolo_loss" if parts.static else "loss", "YOLOv3Loss", training=True) as loss:
            settings["by_shape"] = _learned(parts, loss)
        settings |= _suppressed(parts, given if parts.static else None, model)
    return YOLOv3.Config(
        input=input,
        backbone=read_backbone(parts, model),
        neck=neck,
        head=PADDLE_YOLO_HEAD.replace(**settings),
        follow_batches=True,
    )


def _priors(given: Section) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """Width and height of the priors of each map, which are chosen from a list."""
    listed, masks = given.take("anchors", _PRIORS), given.take("anchor_masks", _MASKS)
    try:
        found = tuple(tuple((float(listed[i][0]), float(listed[i][1])) for i in mask) for mask in masks)
    except (IndexError, TypeError, ValueError, KeyError):
        found = ()
    if not found or not all(0 < edge < LARGEST for level in found for pair in level for edge in pair):
        raise ConfigError(f"{given.path}.anchor_masks and anchors must be numbers of pairs, and pairs of edges")
    return found


def _learned(parts: Parts, loss: Section) -> ByShape:
    loss.ignore("batch_size", "use_fine_grained_loss", "downsample")  # how it is computed
    loss.fixed("scale_x_y", 1.0)
    settings: dict[str, Any] = {
        "background": loss.number("ignore_thresh", 0.7),
        "smoothing": loss.flag("label_smooth", parts.static),
    }
    if loss.has("iou_loss"):
        kinds = {"IouLoss": "square_iou", "GiouLoss": "giou", "DiouLossYolo": "diou"}
        with parts.part(loss, "iou_loss", *kinds, training=True) as box:
            settings["box_loss"] = BoxLoss.model_validate(
                {"kind": kinds[box.kind], "weight": box.number("loss_weight", 2.5)}
            )
            box.ignore("max_height", "max_width", "loss_square")
    if loss.has("iou_aware_loss"):
        with parts.part(loss, "iou_aware_loss", "IouAwareLoss", training=True) as aware:
            settings["iou_weight"] = aware.number("loss_weight", 1.0)
            aware.ignore("max_height", "max_width")
    return ByShape.model_validate(settings)


def _suppressed(parts: Parts, head: Section | None, model: Section) -> dict[str, Any]:
    """What boxes are returned; of a static model its ``head`` says it."""
    if head is not None:
        usual = (0.05, 0.5) if head.has("nms") else (0.01, 0.45)  # of its own section, or of the head
        return _nms(parts, head, False, *usual)
    with parts.part(model, "post_process", "BBoxPostProcess") as given:
        with parts.part(given, "decode", "YOLOBox") as boxes:
            settings: dict[str, Any] = {"objectness": boxes.number("conf_thresh", 0.005)}
            boxes.ignore("downsample_ratio")
            boxes.fixed("clip_bbox", True)
            boxes.fixed("scale_x_y", 1.0)
        return settings | _nms(parts, given, True, 0.05, 0.5)


def _nms(parts: Parts, owner: Section, normalized: bool, threshold: float, overlap: float) -> dict[str, Any]:
    with parts.part(owner, "nms", "MultiClassNMS") as nms:
        return suppressed(nms, threshold, overlap) | {"legacy": not nms.flag("normalized", normalized)}


__all__ = ["yolov3"]
