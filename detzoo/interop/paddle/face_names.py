"""PaddleDetection's names of parameters of BlazeFace and FaceBoxes -> ours.

In static releases normalization has no name but a number, in the order of the convolutions before it.
"""

from __future__ import annotations

import re

from torch import nn

from detzoo.blocks.layers import ConvNorm
from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_layers import LEAVES

_PARTS = {"1_dw": "depthwise", "1_sep": "pointwise", "2_dw": "depthwise2", "2_sep": "pointwise2"}
_LAYER = r"\._(?P<layer>conv|batch_norm)(?=\.)"
_STATISTICS = {**LEAVES, "w_1": "_mean", "w_2": "_variance"}


def _kind(match: re.Match[str]) -> str:
    return "conv" if match["layer"] == "conv" else "bn"


def _layer(match: re.Match[str]) -> str:
    return _PARTS.get(f"1_{match['layer']}", "")


def _pyramid(match: re.Match[str]) -> str:
    number = int(match["number"])
    return f"neck.{'merges.0' if number == 3 else f'laterals.{number - 1}'}.{_kind(match)}"


NAMES: Names = (
    (
        rf"^backbone\.(?P<block>(?:double_)?blaze_\d+)\.(?P=block)(?P<part>[12]_dw){_LAYER}",
        lambda match: f"backbone.{match['block']}.{_PARTS[match['part']]}.{_kind(match)}",
    ),
    (
        rf"^backbone\.(?P<block>(?:double_)?blaze_\d+)\.conv_pw(?P<second>2?){_LAYER}",
        lambda match: f"backbone.{match['block']}.pointwise{match['second']}.{_kind(match)}",
    ),
    (
        rf"^backbone\.(?P<block>(?:double_)?blaze_\d+)\.(?P=block)_shortcut_conv{_LAYER}",
        lambda match: f"backbone.{match['block']}.shortcut.{_kind(match)}",
    ),
    (rf"^neck\.fpn\.conv(?P<number>[123])_fpn{_LAYER}", _pyramid),
    (
        rf"^neck\.ssh(?P<map>[12])\.conv(?P<number>\d)_ssh{_LAYER}",
        lambda match: f"neck.contexts.{int(match['map']) - 1}.convs.{match['number']}.{_kind(match)}",
    ),
    (r"^blaze_head\.boxes(\d)\.", r"reg.\1."),
    (r"^blaze_head\.scores(\d)\.", r"cls.\1."),
)

_CONVS: Names = (
    (r"^(conv1|conv_\d(?:_\d)?)_weights$", r"backbone.\1.conv.weight"),
    (r"^inceptionA_(\d)_(conv\d(?:_\d)?)_weights$", r"backbone.inception_\1.\2.conv.weight"),
    # of the lite network, of single blocks alone
    (
        r"^(?P<part>shortcut)?conv(?P<block>\d{1,6})(?:_(?P<layer>dw|sep))?_weights$",
        lambda match: f"backbone.blaze_{int(match['block']) - 2}.{match['part'] or _layer(match)}.conv.weight",
    ),
    (r"^shortcut((?:double_)?blaze_\d+)_weights$", r"backbone.\1.shortcut.conv.weight"),
    (
        r"^(?P<block>(?:double_)?blaze_\d+)(?P<part>[12]_(?:dw|sep))_weights$",
        lambda match: f"backbone.{match['block']}.{_PARTS[match['part']]}.conv.weight",
    ),
)


def static_names(backbone: nn.Module) -> Names:
    """The names of a network's parameters in static releases."""
    layers = [name for name, module in backbone.named_modules() if isinstance(module, ConvNorm)]

    def norm(match: re.Match[str]) -> str:
        number = int(match["number"])
        # one too many stays as it is, and is told of as left over
        return f"backbone.{layers[number]}.bn.{_STATISTICS[match['leaf']]}" if number < len(layers) else match[0]

    return ((r"^batch_norm_(?P<number>\d{1,6})\.(?P<leaf>w_[0-2]|b_0)$", norm), *_CONVS)


def convs(backbone: nn.Module) -> int:
    """How many convolutions there are before those of the head, as static releases count them."""
    return sum(isinstance(module, ConvNorm) for module in backbone.modules())


__all__ = ["NAMES", "convs", "static_names"]
