"""Names of parameters in PaddleDetection's static-graph releases (0.2 to 0.5) -> those of its dynamic-graph release.

Networks call different layers the same, so that there is a table for each, in `BACKBONES`. What the later release does
not have (composite networks, SENet, blocks in stages) gets the name that it would have there and that
`detzoo.interop.paddle.backbone_names` knows, or ours.
"""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import Names

LEAVES = {
    **dict.fromkeys(("weights", "w", "w_0", "scale"), "weight"),
    **dict.fromkeys(("biases", "bias", "b", "b_0", "offset"), "bias"),
    **{"mean": "_mean", "variance": "_variance", "var": "_variance"},
}
_LEAF = r"_(?P<leaf>weights|scale|offset|mean|variance)"
_NET = r"(?:_(?P<net>[01]))?"  # a composite network's first or second network


def _owner(match: re.Match[str]) -> str:
    return {None: "backbone.", "0": "backbone.assistant.", "1": "backbone.lead."}[match["net"]]


def _kind(leaf: str) -> str:
    return "conv" if leaf == "weights" else "norm"


def _stem(match: re.Match[str]) -> str:
    """``conv1_2_weights`` or ``bnv1_2_scale``; of one convolution ``conv1_weights`` or ``bn_conv1_scale``."""
    leaf = match["leaf"]
    return f"{_owner(match)}conv1.conv1{match['place'] or ''}.{_kind(leaf)}.{LEAVES[leaf]}"


def _block(match: re.Match[str]) -> str:
    """``res2a_branch2b_weights`` or ``bn2a_branch2b_scale``; Res2Net numbers what it has for one, from 1."""
    stage, part, split = match["stage"], match["part"], match["split"]
    part = "short" if part == "1" else f"branch{part}.{int(split) - 1}" if split else f"branch{part}"
    leaf = match["leaf"] or match["own"]
    kind = "conv_offset" if match["own"] else _kind(leaf)
    return f"{_owner(match)}res{stage}.res{stage}{match['block']}.{part}.{kind}.{LEAVES[leaf]}"


def _place(match: re.Match[str]) -> str:
    """Our residual block that has a further block."""
    return f"{_owner(match)}layer{int(match['stage']) - 1}.{match['index']}"


def _context(match: re.Match[str]) -> str:
    """A global context block's layer."""
    layer = "conv_mask"
    if match["fusion"]:
        layer = f"channel_{match['fusion']}_conv.{ {'conv1': 0, 'ln': 1, 'conv2': 3}[match['layer']] }"
    return f"backbone.layer{int(match['stage']) - 1}.{match['index']}.context_block.{layer}.{LEAVES[match['leaf']]}"


RESNET: Names = (
    (rf"^(?:bn|res)?_?(?:con)?v1(?P<place>_\d)?{_LEAF}{_NET}$", _stem),
    (
        r"^(?:res|bn)(?P<stage>\d)(?P<block>[a-z]\d*)_branch(?P<part>1|2[a-c])(?:_(?P<split>\d))?"
        rf"(?:{_LEAF}|_conv_offset){_NET}(?:\.(?P<own>[wb]_0))?$",
        _block,
    ),
    (
        r"^nonlocal_conv(?P<stage>\d)_(?:lvl(?P<net>\d)_)?(?P<index>\d+)_(?P<layer>theta|phi|g|out)_w$",
        lambda match: f"{_place(match)}.non_local.{match['layer']}.weight",
    ),
    (
        r"^gcb_res(?P<stage>\d)_b(?P<index>\d+)_(?:spatial_pool|(?P<fusion>add|mul)_(?P<layer>conv1|ln|conv2))"
        r"_(?P<leaf>weights|bias)$",
        _context,
    ),
    (
        rf"^(?:test|bnt)_c(?P<stage>\d)_connect{_LEAF}_1$",
        lambda match: (
            f"backbone.connections.{int(match['stage']) - 1}."
            f"{'conv' if match['leaf'] == 'weights' else 'bn'}.{LEAVES[match['leaf']]}"
        ),
    ),
)


def _senet(match: re.Match[str]) -> str:
    """``conv4_1_x1_weights`` or ``conv4_1_x1_bn_scale``, whose stage counts from 4."""
    part, leaf = match["part"], match["leaf"] or match["own"]
    norm = bool(match["norm"])
    layer = f"downsample.{int(norm)}" if part == "prj" else f"{'bn' if norm else 'conv'}{part[1:]}"
    shifts = ".conv_offset" if match["own"] else ""
    return f"backbone.layer{int(match['stage']) - 3}.{int(match['index']) - 1}.{layer}{shifts}.{LEAVES[leaf]}"


def _gate(match: re.Match[str]) -> str:
    layer = {"sqz": "squeeze", "exc": "excite"}[match["layer"]]
    place = f"backbone.layer{int(match['stage']) - 3}.{int(match['index']) - 1}.se"
    return f"{place}.{layer}.{LEAVES[match['leaf']]}"


SENET: Names = (
    (
        rf"^conv1(?P<place>_\d)(?:_bn)?{_LEAF}(?P<net>)$",
        lambda match: f"backbone.conv1.conv1{match['place']}.{_kind(match['leaf'])}.{LEAVES[match['leaf']]}",
    ),
    (
        r"^conv(?P<stage>\d)_(?P<index>\d+)_(?P<part>x[1-3]|prj)(?P<norm>_bn)?"
        rf"(?:{_LEAF}|_conv_offset\.(?P<own>[wb]_0))$",
        _senet,
    ),
    (r"^fc(?P<stage>\d)_(?P<index>\d+)_(?P<layer>sqz|exc)_(?P<leaf>weights|offset)$", _gate),
)

_HR_LEAF = rf"(?:_bn)?{_LEAF}$"


HRNET: Names = (
    (rf"^layer1_(?P<number>\d){_HR_LEAF}", lambda m: f"backbone.conv_layer1_{m['number']}{_of(m)}"),
    (
        rf"^layer2_(?P<block>\d)_(?:conv(?P<number>\d)|downsample){_HR_LEAF}",
        lambda m: f"backbone.la1.block_layer2_{m['block']}.conv{m['number'] or '_down'}{_of(m)}",
    ),
    (
        rf"^tr(?P<stage>\d)_layer_(?P<branch>\d){_HR_LEAF}",
        lambda m: f"backbone.tr{m['stage']}.transition_tr{m['stage']}_layer_{m['branch']}{_of(m)}",
    ),
    (
        rf"^st(?P<stage>\d)_(?P<module>\d)_(?P<what>branch_layer_\d_\d)_conv(?P<number>\d){_HR_LEAF}",
        lambda m: f"{_module(m)}.branches_func.bb_{_named(m)}.conv{m['number']}{_of(m)}",
    ),
    (
        rf"^st(?P<stage>\d)_(?P<module>\d)_(?P<what>layer_\d_\d(?:_\d)?){_HR_LEAF}",
        lambda m: f"{_module(m)}.fuse_func.residual_{_named(m)}{_of(m)}",
    ),
)


def _of(match: re.Match[str]) -> str:
    return f".{_kind(match['leaf'])}.{LEAVES[match['leaf']]}"


def _named(match: re.Match[str]) -> str:
    return f"st{match['stage']}_{match['module']}_{match['what']}"


def _module(match: re.Match[str]) -> str:
    stage = match["stage"]
    return f"backbone.st{stage}.stage_st{stage}_{match['module']}"


def _separable(match: re.Match[str]) -> str:
    """``conv2_1_dw_weights`` or ``conv2_1_dw_bn_scale``, and the extra blocks' ``conv7_1_extra1_...``."""
    part = {
        None: "",
        "dw": "._depthwise_conv",
        "sep": "._pointwise_conv",
        "extra1": ".pointwise_conv",
        "extra2": ".normal_conv",
    }[match["part"]]
    layer = "_conv" if match["leaf"] == "weights" else "_batch_norm"
    return f"backbone.conv{match['number']}{part}.{layer}.{LEAVES[match['leaf']]}"


MOBILENET: Names = ((rf"^conv(?P<number>\d(?:_\d)?)(?:_(?P<part>dw|sep|extra1|extra2))?{_HR_LEAF}", _separable),)


def _darknet(match: re.Match[str]) -> str:
    """``stage.1.2.0.conv.weights``: of the second stage the third block's first convolution."""
    stage, block, number = match["stage"], match["block"], int(match["number"]) + 1
    place = "basicblock0" if block == "0" else f"stage.{stage}.{block}"
    return f"backbone.stage.{stage}.{place}.conv{number}.{_layer(match)}"


def _layer(match: re.Match[str]) -> str:
    return f"{'conv' if match['kind'] == 'conv' else 'batch_norm'}.{LEAVES[match['leaf']]}"


_DARK_LEAF = r"\.(?P<kind>conv|bn)\.(?P<leaf>weights|scale|offset|mean|var)$"
DARKNET: Names = (
    (rf"^yolo_input{_DARK_LEAF}", lambda m: f"backbone.conv0.{_layer(m)}"),
    (rf"^yolo_input\.downsample{_DARK_LEAF}", lambda m: f"backbone.downsample0.conv_bn_layer.{_layer(m)}"),
    (
        rf"^stage\.(?P<stage>\d)\.downsample{_DARK_LEAF}",
        lambda m: f"backbone.stage.{m['stage']}.downsample.conv_bn_layer.{_layer(m)}",
    ),
    (rf"^stage\.(?P<stage>\d)\.(?P<block>\d)\.(?P<number>\d){_DARK_LEAF}", _darknet),
)

VGG: Names = (
    (
        r"^conv(?P<stage>[1-5])_(?P<number>\d)_(?P<leaf>weights|biases)$",
        lambda m: f"backbone.conv_block_{int(m['stage']) - 1}.conv{int(m['number']) - 1}.{LEAVES[m['leaf']]}",
    ),
    (
        r"^conv(?P<stage>\d+)_(?P<number>\d)_(?P<leaf>weights|biases)$",
        lambda m: f"backbone.conv{m['stage']}.conv{int(m['number']) - 1}.{LEAVES[m['leaf']]}",
    ),
    (r"^fc([67])_weights$", r"backbone.fc\1.weight"),
    (r"^fc([67])_biases$", r"backbone.fc\1.bias"),
    (r"^Scale_0\.w_0$", r"backbone.norm0.scale"),
)

NECKS: Names = (
    (
        r"^fpn_(?P<name>inner_res\d_sum(?:_lateral)?|res\d_sum|[67])_(?P<leaf>w|b)$",
        lambda m: f"neck.fpn_{m['name']}.{LEAVES[m['leaf']]}",
    ),
    (rf"^fpn_(?P<name>inner_res\d_sum(?:_lateral)?|res\d_sum){_LEAF}$", lambda m: f"neck.fpn_{m['name']}{_of(m)}"),
    (r"^hrfpn_reduction_weights$", "neck.reduction.weight"),
    (r"^shared_fpn_conv_(\d)_weights$", r"neck.fpn_conv_\1.weight"),
    (
        r"^nonlocal_bsf_(?P<layer>theta|phi|g|out)_(?P<leaf>w|b)$",
        lambda m: f"neck.1.refine.{'conv_out' if m['layer'] == 'out' else m['layer']}.conv.{LEAVES[m['leaf']]}",
    ),
)

# the section of a config that says which network it is -> its names
BACKBONES: dict[str, Names] = {
    "CBResNet": RESNET,
    "DarkNet": DARKNET,
    "HRNet": HRNET,
    "MobileNet": MOBILENET,
    "Res2Net": RESNET,
    "ResNeXt": RESNET,
    "ResNet": RESNET,
    "SENet": SENET,
    "VGG": VGG,
}

__all__ = ["BACKBONES", "LEAVES", "NECKS"]
