"""PaddleDetection's recorded cases: ``paddle/<case>`` of the dynamic-graph release, ``paddle/static/<case>`` before."""

from __future__ import annotations

from typing import Any

from detzoo.config import flatten
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.recipes.columns import COCO, SCHEDULE_1X
from detzoo.recipes.paddle_columns import PADDLE_BOX_HEAD, PADDLE_R50, PADDLE_RPN
from detzoo.recipes.recipe import Model, Recipe
from tests.parity.case import Case


class PaddleCase(Case):
    """A case of PaddleDetection."""

    def recorded(self, model: Model, threshold: float | None) -> dict[str, Any]:
        """What every recording changed: of two stages every anchor and RoI is used, and little is kept."""
        changes: dict[str, Any] = {}
        settings = flatten(model)
        for path, value in settings.items():
            part, _, name = path.rpartition(".")
            if name == "positives":
                changes[f"{part}.samples"] = 16384
            elif name in ("train_candidates", "candidates") and f"{part}.proposals" in settings:
                changes[path] = min(value, 200)
            elif name in ("train_proposals", "proposals"):
                changes[path] = min(value, 60)
            elif path == "box_head.detections":
                changes |= {path: 30, "box_head.threshold": 0.02}
        return changes


def _baseline(model: Model) -> Recipe:
    """A model whose published weights are in no table."""
    return Recipe(name="baseline", model=model, data=COCO, schedule=SCHEDULE_1X)


FASTER = FasterRCNN.Config(backbone=PADDLE_R50, rpn=PADDLE_RPN, box_head=PADDLE_BOX_HEAD)
PADDLE: dict[str, Case] = {
    "paddle/faster_rcnn_r50_fpn_1x_coco": PaddleCase(_baseline(FASTER)),
}
