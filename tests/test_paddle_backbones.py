"""Backbones and necks from PaddleDetection's settings, in the spelling of both kinds of releases."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.cbnet import CBNet
from detzoo.backbones.darknet import Darknet
from detzoo.backbones.ghostnet import GhostNet
from detzoo.backbones.hrnet import HRNet
from detzoo.backbones.mobilenet_v1 import MobileNetV1
from detzoo.backbones.mobilenet_v3 import MobileNetV3
from detzoo.backbones.res2net import Res2Net
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.senet import SENet
from detzoo.config import ConfigError, validate
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.necks import read_neck
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.weights import names, renamed
from detzoo.interop.renaming import rename
from detzoo.necks.any_neck import AnyNeck
from detzoo.necks.bfp import BFP
from detzoo.necks.fpn import FPN
from detzoo.necks.hrfpn import HRFPN
from tests.tiny import tiny

FROZEN = {"norm_eval": True, "norm_frozen": True}
LEARNED = {"norm_eval": False, "norm_frozen": False}
VD = {"stem": "deep", "avg_down": True, "project_first": True, **FROZEN}
DCN = {"deform": {"version": 2}}
FILTERS = [[256, 512], [128, 256]]
NON_LOCAL = {"block": {"kind": "non_local"}, "stages": (3,), "after": "block", "every": 12}
GC = {"block": {"kind": "context", "fusion": ("multiply",)}, "stages": (2, 3, 4)}
# section, what it says, what it is here
DYNAMIC: list[tuple[str, dict[str, Any], type[Any], dict[str, Any]]] = [
    ("ResNet", {}, ResNet, {"project_first": True, **FROZEN}),
    ("ResNet", {"depth": 34, "freeze_at": -1, "freeze_norm": False, "return_idx": [1, 2, 3], "norm_type": "sync_bn"},
     ResNet, {"depth": 34, "project_first": True, **LEARNED, "frozen_stages": -1, "out_stages": (2, 3, 4)}),
    ("ResNet", {"variant": "d", "groups": 64, "base_width": 4, "depth": 101, "dcn_v2_stages": [1, 2, 3]},
     ResNet, {**VD, **DCN, "groups": 64, "base_width": 4, "depth": 101}),
    ("ResNet", {"variant": "d", "return_idx": [2], "num_stages": 3}, ResNet,
     {**VD, "strides": (1, 2, 2), "dilations": (1, 1, 1), "out_stages": (3,), "avg_down_stages": (1, 2, 3)}),
    ("Res2Net", {"variant": "d"}, Res2Net, {**FROZEN, "avg_down": False, "first_sums": True, "pool_padding": False}),
    ("HRNet", {}, HRNet, {**FROZEN, "width": 18, "stopped": (0,)}),
    ("HRNet", {"freeze_at": -1}, HRNet, {**FROZEN, "width": 18}),
    ("DarkNet", {}, Darknet, {"norm_eval": False}),
    ("MobileNet", {"feature_maps": [11, 13, 14, 15], "with_extra_blocks": True, "extra_block_filters": FILTERS},
     MobileNetV1, {"out_pairs": (11, 13)}),
    ("MobileNetV3", {"feature_maps": [7, 13, 16]}, MobileNetV3, {"pad_same": True}),
    ("MobileNetV3", {"model_name": "small", "multiplier": 0.5, "feature_maps": [10, 13, 14, 15],
                     "with_extra_blocks": True, "extra_block_filters": FILTERS}, MobileNetV3,
     {"size": "small", "end_width": 0.5, "out_blocks": (9,), "extra": FILTERS, "pad_same": True}),
    ("GhostNet", {"feature_maps": [13, 18, 19, 20], "with_extra_blocks": True, "extra_block_filters": FILTERS},
     GhostNet, {"width": 1.3, "out_blocks": (12,), "extra": FILTERS}),
]  # fmt: skip
STATIC: list[tuple[str, dict[str, Any], type[Any], dict[str, Any]]] = [
    ("ResNet", {"norm_type": "affine_channel", "feature_maps": 4, "variant": "d"}, ResNet,
     {**VD, "strides": (1, 2, 2), "dilations": (1, 1, 1), "out_stages": (3,)}),
    ("ResNet", {"depth": 200, "nonlocal_stages": [4], "dcn_v2_stages": [5], "freeze_at": 0, "norm_type": "bn"}, ResNet,
     {**FROZEN, **DCN, "depth": 200, "project_first": True, "deform_stages": (4,), "frozen_stages": -1,
      "plugins": (NON_LOCAL,)}),
    ("ResNet", {"gcb_stages": [3, 4, 5], "gcb_params": {"ratio": 0.0625, "fusion_types": ["channel_mul"]}}, ResNet,
     {**FROZEN, "project_first": True, "plugins": (GC,)}),
    ("ResNeXt", {"depth": 101, "groups": 64, "group_width": 4, "variant": "d"}, ResNet,
     {**VD, "depth": 101, "groups": 64, "base_width": 4}),
    ("CBResNet", {"variant": "d", "repeat_num": 2}, CBNet, {"network": VD}),
    ("SENet", {"depth": 152, "std_senet": True, "dcn_v2_stages": [3, 4, 5]}, SENet,
     {**FROZEN, **DCN, "form": "original"}),
    ("Res2Net", {"variant": "d"}, Res2Net, {**VD, "first_sums": True, "pool_padding": False}),
    ("HRNet", {"width": 18, "freeze_at": 3}, HRNet,
     {**FROZEN, "width": 18, "resize": "corners", "stopped": (0, 1)}),
    ("MobileNet", {"with_extra_blocks": True}, MobileNetV1, {"out_pairs": (11, 13)}),
]  # fmt: skip


def read(static: bool, section: str, settings: dict[str, Any], neck: dict[str, Any] | None = None) -> Any:
    slots = {"backbone": section, "fpn" if static else "neck": next(iter(neck or {"FPN": {}}))}
    values = {"architecture": "RetinaNet", "RetinaNet": slots, section: settings, **(neck or {})}
    parts = Parts(values, [])
    assert parts.static is static
    return read_neck(parts, parts.model()) if neck else read_backbone(parts, parts.model())


@pytest.mark.parametrize(("section", "settings", "kind", "wanted"), DYNAMIC)
def test_backbones_of_the_dynamic_release(section: str, settings: Any, kind: Any, wanted: Any) -> None:
    made: AnyBackbone = read(False, section, settings)
    assert made == validate(kind.Config, wanted)


@pytest.mark.parametrize(("section", "settings", "kind", "wanted"), STATIC)
def test_backbones_of_static_releases(section: str, settings: Any, kind: Any, wanted: Any) -> None:
    made: AnyBackbone = read(True, section, settings)
    assert made == validate(kind.Config, wanted)


@pytest.mark.parametrize(
    ("static", "neck", "kind", "wanted"),
    [
        (False, {"FPN": {"out_channel": 256, "norm_type": "gn"}}, FPN, {"norm": "gn"}),
        (False, {"FPN": {"out_channel": 256, "has_extra_convs": True, "extra_stage": 2, "use_c5": False}}, FPN,
         {"levels": 6, "extra": "on_output", "relu_before_extra": True}),
        (False, {"HRFPN": {"out_channel": 256}}, HRFPN, {"bias": False}),
        (True, {"FPN": {"num_chan": 256, "min_level": 3, "max_level": 7, "has_extra_convs": True}}, FPN,
         {"extra": "on_input", "relu_before_extra": True}),
        (True, {"HRFPN": {"num_chan": 256}}, HRFPN, {"bias": False, "corners": True}),
        (True, {"BFP": {"base_neck": {"num_chan": 128}, "refine_type": "nonlocal"}}, BFP,
         {"pyramid": {"out_channels": 128}, "resize": "corners"}),
    ],
)  # fmt: skip
def test_necks(static: bool, neck: dict[str, Any], kind: Any, wanted: Any) -> None:
    made: AnyNeck = read(static, "ResNet", {}, neck)
    assert made == validate(kind.Config, wanted)


def test_linear_layers_of_a_gate_become_convolutions() -> None:
    detector = tiny("FasterRCNN-ghostnet")
    ours = {name: value for name, value in detector.state_dict().items() if value.dim() > 0}
    state = {
        name: value.t() if name.startswith("box_head.") and value.dim() == 2 else value for name, value in ours.items()
    }
    value = state.pop("backbone.block3.se.squeeze.weight")
    state["backbone._ghostbottleneck_3.se_block.squeeze.weight"] = value[:, :, 0, 0].t()
    found = renamed(detector, state)
    assert all(torch.equal(found[name], value) for name, value in ours.items())


@pytest.mark.parametrize(("form", "owner"), [("FasterRCNN-cbnet", "neck."), ("FasterRCNN-libra", "neck.0.")])
def test_levels_of_a_pyramid_are_told_by_what_the_backbone_returns(form: str, owner: str) -> None:
    table = names(tiny(form), static=False)
    assert rename("neck.fpn_inner_res5_sum.weight", table) == f"{owner}lateral_convs.3.conv.weight"


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("ResNet", {"variant": "e"}, "variant='e' has no counterpart"),
        ("ResNet", {"return_idx": [4]}, "is no list of stages, 0 to 3"),
        ("ResNet", {"norm_type": "in"}, "norm_type='in' has no counterpart"),
        ("ResNet", {"surprise": 1}, "ResNet.surprise=1 is not known"),
        ("ResNet", {"std_senet": True}, "std_senet=True has no counterpart"),
        ("GhostNet", {"with_extra_blocks": True, "feature_maps": [13, 18]}, "feature_maps"),
        ("CSPDarkNet", {}, "is not known here"),
    ],
)
def test_settings_without_a_counterpart_are_refused(section: str, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(False, section, settings)
