"""Localization distillation from MMDetection's settings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks
from detzoo.interop.mmdet.gfl import distribution_head
from detzoo.interop.section import Section
from detzoo.methods.gfl import GFL
from detzoo.methods.ld import LD, Distillation
from detzoo.recipes.index import UnknownRecipe
from detzoo.recipes.zoo import find


def ld(model: Section, input: Input) -> tuple[LD.Config, int]:
    """Settings and number of classes of a ``KnowledgeDistillationSingleStageDetector``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, features = necks.neck(given, features)
        taught: dict[str, Any] = _teacher(given)
        if not given.flag("eval_teacher", True):
            given.noted("eval_teacher", "has no counterpart; True has")
        with given.section("bbox_head") as head:
            head.kinds("LDHead")
            default = {"type": "KnowledgeDistillationKLDivLoss", "loss_weight": 0.25, "T": 10}
            with head.section("loss_ld", default, training=True) as loss:
                if learning.known(loss, "KnowledgeDistillationKLDivLoss"):
                    loss.fixed("reduction", "mean")
                    taught |= {"weight": loss.number("loss_weight", 1.0), "temperature": loss.number("T", 10)}
            made, classes = distribution_head(given, head, features)
        distillation = learning.tried(head, "loss_ld", Distillation(), lambda: Distillation.model_validate(taught))
        return LD.Config(input=input, backbone=backbone, neck=neck, head=made, distillation=distillation), classes


def _teacher(model: Section) -> dict[str, str]:
    """The recipe that ``teacher_config`` is the config of and ``teacher_ckpt`` the weights; none is noted."""
    given, weights = model.take("teacher_config"), model.take("teacher_ckpt")
    if isinstance(given, str):
        try:
            found = find(PurePosixPath(given).stem)
        except UnknownRecipe:
            found = None
        if found is not None and isinstance(found.model, GFL.Config) and found.weights is not None:
            if not isinstance(weights, str) or PurePosixPath(weights).name != PurePosixPath(found.weights.url).name:
                model.noted("teacher_ckpt", f"is not taken; the teacher is {found.name} as published")
            return {"teacher": found.name}
    usual = Distillation().teacher
    model.noted(
        "teacher_config", f"has no counterpart; name the teacher's file by model.distillation.teacher ({usual})"
    )
    return {}


__all__ = ["ld"]
