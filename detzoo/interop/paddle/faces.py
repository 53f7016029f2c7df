"""BlazeFace and FaceBoxes, which are SSDs, from PaddleDetection's settings of both kinds of releases."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.paddle.backbones import BACKBONES
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.ssd import detections, kernel
from detzoo.interop.section import Section
from detzoo.methods.ssd import SSD
from detzoo.necks.fpn_ssh import FPNSSH
from detzoo.necks.no_neck import NoNeck
from detzoo.recipes.paddle_faces import BLAZEFACE, FACEBOXES

_SQUARES = [[16.0, 24.0], [32.0, 48.0, 64.0, 80.0, 96.0, 128.0]]
_FACEBOXES_SQUARES = [[32.0, 64.0, 128.0], [256.0], [512.0]]


def blazeface(parts: Parts, model: Section, input: Input) -> SSD.Config:
    """``BlazeFace``."""
    with parts.part(model, "backbone", "BlazeNet") as network:
        backbone = BACKBONES["BlazeNet"](parts, network)
    if parts.static:
        model.fixed("use_density_prior_box", False)
        neck, head = NoNeck.Config(), _squares(model, "min_sizes", _SQUARES) | _steps(model, [8, 16])
    else:
        neck, head = _neck(parts, model), _head(parts, model)
    found = BLAZEFACE.head.replace(**head, **detections(parts, model, together=True))
    return BLAZEFACE.replace(input=input, backbone=backbone, neck=neck, head=found)


def faceboxes(parts: Parts, model: Section, input: Input) -> SSD.Config:
    """``FaceBoxes`` of static releases."""
    with parts.part(model, "backbone", "FaceBoxNet") as network:
        backbone = BACKBONES["FaceBoxNet"](parts, network)
    squares = _squares(model, "fixed_sizes", _FACEBOXES_SQUARES)
    densities = model.each("densities", Section.numbers, [[4, 2, 1], [1], [1]])
    if any(count != int(count) or count < 1 for level in densities for count in level):
        model.differs("densities", "are no whole numbers")
    if [len(level) for level in densities] != [len(level) for level in squares["squares"]]:
        model.differs("densities", "has no counterpart; one number for each of fixed_sizes has")
    steps = _steps(model, [8, 16, 32][: len(densities)])
    found = FACEBOXES.head.replace(**squares, densities=densities, **steps, **detections(parts, model, together=True))
    return FACEBOXES.replace(input=input, backbone=backbone, head=found)


def _neck(parts: Parts, model: Section) -> NoNeck.Config | FPNSSH.Config:
    with parts.part(model, "neck", "BlazeNeck") as given:
        given.fixed("neck_type", "None", "fpn_ssh")
        return FPNSSH.Config() if given.take("neck_type") == "fpn_ssh" else NoNeck.Config()


def _head(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "blaze_head", "FaceHead") as given:
        given.ignore("loss")  # of training
        settings = kernel(given, "padding", 3)
        with parts.part(given, "anchor_generator", "AnchorGeneratorSSD") as anchors:
            anchors.ignore("base_size", "min_ratio", "max_ratio")  # sizes say it in pixels
            settings |= _squares(anchors, "min_sizes", None) | _steps(anchors, [8, 16, 32, 64, 100, 300])
            maps = len(settings["squares"])
            for name, good in (("aspect_ratios", [1.0]), ("max_sizes", [])):
                if anchors.take(name) != [good] * maps:
                    anchors.differs(name, f"has no counterpart; {good} for each map has")
            anchors.fixed("offset", 0.5)
            settings["inside"] = anchors.flag("clip", False)
            anchors.ignore("flip", "min_max_aspect_ratios_order")  # squares are the same turned, and alone
    return settings


def _squares(given: Section, name: str, usual: list[list[float]] | None) -> dict[str, Any]:
    """Edges of the default boxes of each map."""
    found = given.each(name, Section.numbers, usual)
    if any(edge <= 0 for level in found for edge in level):
        given.differs(name, "are no sizes")
    return {"squares": found}


def _steps(given: Section, usual: list[int]) -> dict[str, Any]:
    return {"steps": given.wholes("steps", usual)}


__all__ = ["blazeface", "faceboxes"]
