"""PAA from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import learning
from detzoo.interop.mmdet.atss import atss_head
from detzoo.interop.mmdet.dense import dense
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.paa import PAA


def paa(model: Section, input: Input) -> tuple[PAA.Config, int]:
    """Settings and number of classes of a ``PAA``."""
    return dense(PAA.Config, model, input, _head, "PAAHead")


def _head(head: Section, train: Section, features: Features) -> dict[str, Any]:
    if head.word("covariance_type", "diag") not in ("diag", "full", "spherical"):  # of one number, all the same
        head.noted("covariance_type", "has no counterpart; 'diag' has")
    weight = learning.cross_entropy(head, sigmoid=True, name="loss_centerness", decides=False, weighted=True)
    return {
        **atss_head(head, features),
        "best": head.whole("topk", 9),
        "iou_weight": weight,
        "voting": head.flag("score_voting", True),
        **learning.matched(train, PAA.Head().match),
    }


__all__ = ["paa"]
