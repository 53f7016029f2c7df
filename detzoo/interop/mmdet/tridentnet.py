"""TridentNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import parts, two_stage
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.tridentnet import TridentNet, TridentResNet
from detzoo.necks.no_neck import NoNeck


def tridentnet(model: Section, input: Input) -> tuple[TridentNet.Config, int]:
    """Settings and number of classes of a ``TridentFasterRCNN``."""
    with model as given:
        settings, classes = two_stage.two_stages(
            given, masks=False, more=two_stage.RoIHead("TridentRoIHead", _branches)
        )
        if not isinstance(settings["backbone"], TridentResNet.Config):
            given.section("backbone").differs("type", "has no branches; TridentResNet has")
        if not isinstance(settings.pop("neck"), NoNeck.Config):
            given.differs("neck", "has no counterpart in TridentNet")
        del settings["roi_levels"]  # 1
        return TridentNet.Config(input=input, **settings), classes


def _branches(
    roi: Section, train: Section, test: Section, features: Features, settings: dict[str, Any], classes: int
) -> dict[str, Any]:
    """What ``TridentRoIHead`` repeats of the backbone's settings is read there."""
    parts.derived(roi, "num_branch", roi.whole("num_branch"))
    roi.ignore("test_branch_idx")
    return {}


__all__ = ["tridentnet"]
