"""PaddleDetection's names of SSD's parameters, VGG's among them -> ours."""

from __future__ import annotations

import re

from detzoo.backbones.vgg import CONVS
from detzoo.interop.paddle.backbone_names import Names


def _vgg(match: re.Match[str]) -> str:
    """A convolution of VGG-16's stages, which its layers' numbers in ``features`` are told by."""
    stage, conv = int(match[1]), int(match[2])
    before = sum(2 * convs + 1 for convs in CONVS[16][:stage])  # convolutions with their ReLUs, and a pooling each
    return f"backbone.features.{before + 2 * conv}."


def _extra(match: re.Match[str]) -> str:
    """An extra map behind MobileNet: a 1x1 convolution, then a 3x3, and their norms."""
    layer, conv = int(match[1]) - 1, int(match[2] == "normal")
    return f"neck.extra_layers.{layer}.{conv}.{'conv' if match[3] == 'conv' else 'bn'}"


NAMES: Names = (
    (r"^backbone\.conv_block_(\d)\.conv(\d)\.", _vgg),
    (r"^backbone\.fc6\.", "backbone.features.31."),
    (r"^backbone\.fc7\.", "backbone.features.33."),
    (r"^backbone\.conv([6-9]|10)\.conv([01])\.", lambda m: f"neck.extra_layers.{int(m[1]) - 6}.{m[2]}.conv."),
    (r"^backbone\.conv7_(\d)\.(pointwise|normal)_conv\._(conv|batch_norm)(?=\.)", _extra),
    (r"^backbone\.norm0\.scale$", "neck.l2_norm.weight"),
    (r"^ssd_head\.boxes(\d)\.", r"reg.\1."),
    (r"^ssd_head\.scores(\d)\.", r"cls.\1."),
)

__all__ = ["NAMES"]
