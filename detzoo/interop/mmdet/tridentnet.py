"""TridentNet from MMDetection's settings."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet.two_stage import RoIHead, Second, two_stages
from detzoo.interop.section import Section
from detzoo.methods.tridentnet import TridentNet, TridentResNet
from detzoo.necks.no_neck import NoNeck


def tridentnet(model: Section, input: Input) -> tuple[TridentNet.Config, int]:
    """Settings and number of classes of a ``TridentFasterRCNN``."""
    with model as given:
        settings, classes = two_stages(given, masks=False, more=RoIHead("TridentRoIHead", _branches))
        if not isinstance(settings["backbone"], TridentResNet.Config):
            given.section("backbone").differs("type", "has no branches; TridentResNet has")
        if not isinstance(settings.pop("neck"), NoNeck.Config):
            given.differs("neck", "has no counterpart in TridentNet")
        del settings["roi_levels"]  # 1
        return TridentNet.Config(input=input, **settings), classes


def _branches(second: Second) -> dict[str, Any]:
    """What ``TridentRoIHead`` repeats of the backbone's settings is read there."""
    second.roi.ignore("num_branch", "test_branch_idx")
    return {}


__all__ = ["tridentnet"]
