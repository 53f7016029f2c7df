"""PaddleDetection's names of parameters of YOLOv3 and Darknet -> ours; leaves such as ``_mean`` stay as they are."""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import Names

_KIND = r"(?P<kind>conv|batch_norm)(?=\.\w+$)"


def _leaf(match: re.Match[str]) -> str:
    return "conv" if match["kind"] == "conv" else "bn"


def _stage(match: re.Match[str]) -> str:
    """A residual block, or what halves the size in front of the next stage."""
    stage = int(match["stage"]) + 1
    return f"backbone.conv_res_block{stage}.res{match['block'] or 0}.conv{match['conv']}.{_leaf(match)}"


def _halving(match: re.Match[str]) -> str:
    stage = 1 if match["stage"] is None else int(match["stage"]) + 2
    return f"backbone.conv_res_block{stage}.conv.{_leaf(match)}"


def _detection(match: re.Match[str]) -> str:
    number = 5 if match["conv"] == "route" else int(match["conv"][-1]) + 1
    return f"neck.detect{int(match['map']) + 1}.conv{number}.{_leaf(match)}"


NAMES: Names = (
    (rf"^backbone\.conv0\.{_KIND}", lambda match: f"backbone.conv1.{_leaf(match)}"),
    (rf"^backbone\.(?:stage\.(?P<stage>\d)\.downsample|downsample0)\.conv_bn_layer\.{_KIND}", _halving),
    (
        r"^backbone\.stage\.(?P<stage>\d)\.(?:basicblock0|stage\.\d\.(?P<block>\d))"
        rf"\.conv(?P<conv>\d)\.{_KIND}",
        _stage,
    ),
    (rf"^neck\.yolo_block\.(?P<map>\d)\.conv_module\.(?P<conv>conv\d|route)\.{_KIND}", _detection),
    (rf"^neck\.yolo_block\.(?P<map>\d)\.tip\.{_KIND}", lambda match: f"bridges.{match['map']}.{_leaf(match)}"),
    (
        rf"^neck\.yolo_transition\.(?P<map>\d)\.{_KIND}",
        lambda match: f"neck.conv{int(match['map']) + 1}.{_leaf(match)}",
    ),
    (r"^yolo_head\.yolo_output\.", "outputs."),
)

__all__ = ["NAMES"]
