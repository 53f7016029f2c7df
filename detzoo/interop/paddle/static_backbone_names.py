"""Names of parameters in PaddleDetection's static-graph releases (0.2 to 0.5) -> those of its dynamic-graph release.

Networks call different layers the same, so that there is a table for each, in `BACKBONES`. What the later release does
not have (composite networks, SENet, blocks in stages) gets the name that it would have there and that
`detzoo.interop.paddle.backbone_names` knows, or ours.
"""

from __future__ import annotations

import re

from detzoo.interop.paddle.backbone_names import Names
from detzoo.interop.paddle.static_layers import LEAF, LEAVES, LONG, alone, dotted, kind, normed

_NET = r"(?:_(?P<net>[01]))?"  # a composite network's first or second network


def _owner(match: re.Match[str]) -> str:
    return {None: "backbone.", "0": "backbone.assistant.", "1": "backbone.lead."}[match["net"]]


def _stem(match: re.Match[str]) -> str:
    """``conv1_2_weights`` or ``bnv1_2_scale``; of one convolution ``conv1_weights`` or ``bn_conv1_scale``."""
    leaf = match["leaf"]
    return f"{_owner(match)}conv1.conv1{match['place'] or ''}.{kind(leaf)}.{LEAVES[leaf]}"


def _block(match: re.Match[str]) -> str:
    """``res2a_branch2b_weights`` or ``bn2a_branch2b_scale``; Res2Net numbers what it has for one, from 1."""
    stage, part, split = match["stage"], match["part"], match["split"]
    part = "short" if part == "1" else f"branch{part}.{int(split) - 1}" if split else f"branch{part}"
    leaf = match["leaf"] or match["own"]
    layer = "conv_offset" if match["own"] else kind(leaf)
    return f"{_owner(match)}res{stage}.res{stage}{match['block']}.{part}.{layer}.{LEAVES[leaf]}"


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
    (rf"^(?:bn|res)?_?(?:con)?v1(?P<place>_\d)?{LEAF}{_NET}$", _stem),
    (
        r"^(?:res|bn)(?P<stage>\d)(?P<block>[a-z]\d*)_branch(?P<part>1|2[a-c])(?:_(?P<split>\d))?"
        rf"(?:{LEAF}|_conv_offset){_NET}(?:\.(?P<own>[wb]_0))?$",
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
        rf"^(?:test|bnt)_c(?P<stage>\d)_connect{LEAF}_1$",
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
    normed(r"conv1(_\d)", r"backbone.conv1.conv1\1"),
    (
        r"^conv(?P<stage>\d)_(?P<index>\d+)_(?P<part>x[1-3]|prj)(?P<norm>_bn)?"
        rf"(?:{LEAF}|_conv_offset\.(?P<own>[wb]_0))$",
        _senet,
    ),
    (r"^fc(?P<stage>\d)_(?P<index>\d+)_(?P<layer>sqz|exc)_(?P<leaf>weights|offset)$", _gate),
)

HRNET: Names = (
    normed(r"layer1_(\d)", r"backbone.conv_layer1_\1"),
    normed(r"layer2_(\d)_conv(\d)", r"backbone.la1.block_layer2_\1.conv\2"),
    normed(r"layer2_(\d)_downsample", r"backbone.la1.block_layer2_\1.conv_down"),
    normed(r"tr(\d)_layer_(\d)", r"backbone.tr\1.transition_tr\1_layer_\2"),
    normed(
        r"st(\d)_(\d)_(branch_layer_\d_\d)_conv(\d)",
        r"backbone.st\1.stage_st\1_\2.branches_func.bb_st\1_\2_\3.conv\4",
    ),
    normed(r"st(\d)_(\d)_(layer_\d_\d(?:_\d)?)", r"backbone.st\1.stage_st\1_\2.fuse_func.residual_st\1_\2_\3"),
)

_PARTS = {  # of separable convolutions, and of the extra blocks behind them
    "": "",
    "_dw": "._depthwise_conv",
    "_sep": "._pointwise_conv",
    "_extra1": ".pointwise_conv",
    "_extra2": ".normal_conv",
}
MOBILENET: Names = tuple(
    normed(rf"conv(\d(?:_\d)?){part}", rf"backbone.conv\1{later}", "_conv", "_batch_norm")
    for part, later in _PARTS.items()
)

DARKNET: Names = (
    dotted("yolo_input", "backbone.conv0"),
    dotted(r"yolo_input\.downsample", "backbone.downsample0.conv_bn_layer"),
    dotted(r"stage\.(\d)\.downsample", r"backbone.stage.\1.downsample.conv_bn_layer"),
    # of a stage and a block the first or the second convolution
    *(dotted(rf"stage\.(\d)\.0\.{n}", rf"backbone.stage.\1.basicblock0.conv{n + 1}") for n in (0, 1)),
    *(dotted(rf"stage\.(\d)\.(\d)\.{n}", rf"backbone.stage.\1.stage.\1.\2.conv{n + 1}") for n in (0, 1)),
)

VGG: Names = (
    *(
        alone(f"conv{stage}_{n}", f"backbone.conv_block_{stage - 1}.conv{n - 1}", LONG)
        for stage in (1, 2, 3, 4, 5)
        for n in (1, 2, 3)
    ),
    *(alone(rf"conv(\d+)_{n}", rf"backbone.conv\1.conv{n - 1}", LONG) for n in (1, 2)),
    alone(r"fc([67])", r"backbone.fc\1", LONG),
    (r"^Scale_0\.w_0$", r"backbone.norm0.scale"),
)

NECKS: Names = (
    alone(r"fpn_(inner_res\d_sum(?:_lateral)?|res\d_sum|[67])", r"neck.fpn_\1"),
    normed(r"fpn_(inner_res\d_sum(?:_lateral)?|res\d_sum)", r"neck.fpn_\1"),
    (r"^hrfpn_reduction_weights$", "neck.reduction.weight"),
    (r"^shared_fpn_conv_(\d)_weights$", r"neck.fpn_conv_\1.weight"),
    alone(r"nonlocal_bsf_(theta|phi|g)", r"neck.1.refine.\1.conv"),
    alone("nonlocal_bsf_out", "neck.1.refine.conv_out.conv"),
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

__all__ = ["BACKBONES", "NECKS"]
