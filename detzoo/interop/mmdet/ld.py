"""Localization distillation from MMDetection's settings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning
from detzoo.interop.mmdet.dense import dense
from detzoo.interop.mmdet.gfl import gfl_head
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.gfl import GFL
from detzoo.methods.ld import LD, Distillation
from detzoo.recipes.index import UnknownRecipe
from detzoo.recipes.zoo import find


def ld(model: Section, input: Input) -> tuple[LD.Config, int]:
    """Settings and number of classes of a ``KnowledgeDistillationSingleStageDetector``."""
    taught = _teacher(model)
    if not model.flag("eval_teacher", True):
        model.noted("eval_teacher", "has no counterpart; True has")
    made, classes = dense(LD.Config, model, input, _head, "LDHead")
    return made.replace(distillation=_distillation(model.section("bbox_head"), taught)), classes


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    head.ignore("loss_ld")  # `_distillation` looks at it
    return gfl_head(head, train, features)


def _distillation(head: Section, taught: dict[str, Any]) -> Distillation:
    kind = "KnowledgeDistillationKLDivLoss"
    with head.section("loss_ld", {"type": kind, "loss_weight": 0.25, "T": 10}, training=True) as loss:
        if learning.known(loss, kind):
            loss.fixed("reduction", "mean")
            taught = taught | {"weight": loss.number("loss_weight", 1.0), "temperature": loss.number("T", 10)}
    return learning.tried(head, "loss_ld", Distillation(), lambda: Distillation.model_validate(taught))


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
