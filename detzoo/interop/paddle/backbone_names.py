"""PaddleDetection's names of parameters of backbones and pyramids -> ours; leaves such as ``_mean`` stay as they are.

`NAMES` are those of the dynamic-graph release, under ``backbone.`` and ``neck.``; `pyramid` says which levels an FPN
has, which its names number by the stage of the backbone.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Names = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


def stage_block(match: re.Match[str]) -> str:
    """A residual block's part: groups ``owner``, ``stage`` (2 to 5), ``block`` (b, or b1, or 1) and ``part``."""
    place = match["block"]
    index = int(place if place.isdigit() else place[1:] or ord(place) - ord("a"))
    return f"{match['owner']}layer{int(match['stage']) - 1}.{index}.{residual_part(match['part'])}"


def residual_part(part: str) -> str:
    """``branch2b.norm`` as ``bn2``, and the like."""
    if part.startswith(("short", "branch1")):
        return f"downsample.{int(part.endswith('norm'))}"
    if part.startswith("se."):
        return part.replace("extract", "excite")
    where, what = part.removeprefix("branch2").split(".", 1)
    number = ord(where) - ord("a") + 1
    split, _, what = what.rpartition(".")  # one of several convolutions of Res2Net
    kind = {"norm": "bn", "conv": "conv", "conv_offset": "conv"}[what]
    name = f"{kind}s.{split}" if split else f"{kind}{number}"
    return f"{name}.conv_offset" if what == "conv_offset" else name


def _stem(match: re.Match[str]) -> str:
    owner, place, kind = match["owner"], match["place"], match["kind"]
    if not place:
        return f"{owner}{'conv' if kind == 'conv' else 'bn'}1"
    return f"{owner}stem.{3 * (int(place) - 1) + (kind == 'norm')}"


# of a residual block: its convolutions and their norms, the shortcut, and the attention to channels
PART = (
    r"(?P<part>branch2[a-c](?:\.\d+)?\.(?:conv_offset|conv|norm)|(?:short|branch1)(?:\.conv)?\.(?:conv|norm)"
    r"|se\.(?:squeeze|extract))(?=\.\w+$)"
)

_OWNER = r"^(?P<owner>backbone\.(?:assistant\.|lead\.)?)"
_RESIDUAL: Names = (
    (rf"{_OWNER}(?:conv1|res1)\.conv1(?:_(?P<place>\d))?\.(?P<kind>conv|norm)", _stem),
    (rf"{_OWNER}res(?P<stage>\d)\.(?:blocks\.|res\d)(?P<block>[a-z]\d*|\d+)\.{PART}", stage_block),
)


def _exchange(match: re.Match[str]) -> str:
    """HRNet's way from one branch to another: ``layer_<to>_<from>`` and, where it is halved, ``_<step>``."""
    target, source = int(match["target"]) - 1, int(match["source"]) - 1
    step = f"{int(match['step']) - 1}." if match["step"] else ""
    layer = f"backbone.stage{match['stage']}.{int(match['module']) - 1}.fuse_layers.{target}.{source}"
    return f"{layer}.{step}{int(match['kind'] == 'norm')}"


def _branch(match: re.Match[str]) -> str:
    module, branch, block = (int(match[name]) - 1 for name in ("module", "branch", "block"))
    kind = "conv" if match["kind"] == "conv" else "bn"
    return f"backbone.stage{match['stage']}.{module}.branches.{branch}.{block}.{kind}{match['number']}"


def _transition(match: re.Match[str]) -> str:
    stage, branch = int(match["stage"]), int(match["branch"])
    new = "0." if branch > stage else ""  # the branch that begins here stands in a list of its own
    return f"backbone.transition{stage}.{branch - 1}.{new}{int(match['kind'] == 'norm')}"


def _first(match: re.Match[str]) -> str:
    block, number = int(match["block"]) - 1, match["number"]
    if number == "_down":
        return f"backbone.layer1.{block}.downsample.{int(match['kind'] == 'norm')}"
    return f"backbone.layer1.{block}.{'conv' if match['kind'] == 'conv' else 'bn'}{number}"


_KIND = r"\.(?P<kind>conv|norm)(?=\.\w+$)"
_HRNET: Names = (
    (r"^backbone\.conv_layer1_(\d)\.conv", r"backbone.conv\1"),
    (r"^backbone\.conv_layer1_(\d)\.norm", r"backbone.bn\1"),
    (rf"^backbone\.la1\.block_layer2_(?P<block>\d)\.conv(?P<number>\d|_down){_KIND}", _first),
    (rf"^backbone\.tr\d\.transition_tr(?P<stage>\d)_layer_(?P<branch>\d){_KIND}", _transition),
    (
        r"^backbone\.st\d\.stage_st\d_\d\.branches_func\.bb_st(?P<stage>\d)_(?P<module>\d)_branch_layer_"
        rf"(?P<branch>\d)_(?P<block>\d)\.conv(?P<number>\d){_KIND}",
        _branch,
    ),
    (
        r"^backbone\.st\d\.stage_st\d_\d\.fuse_func\.residual_st(?P<stage>\d)_(?P<module>\d)_layer_"
        rf"(?P<target>\d)_(?P<source>\d)(?:_(?P<step>\d))?{_KIND}",
        _exchange,
    ),
    (r"^neck\.reduction\.", "neck.reduction_conv.conv."),
    (r"^neck\.fpn_conv_(\d)\.", r"neck.fpn_convs.\1.conv."),
)


def pyramid(first: int, owner: str = "neck.") -> Names:
    """Names of an FPN whose finest level is of the backbone's stage ``first``, 2 or 3; in a `BFP` it is ``neck.0.``."""

    def level(match: re.Match[str]) -> str:
        kind = "gn" if match["kind"] == "norm." else "conv"
        convs = "lateral_convs" if match["inner"] else "fpn_convs"
        return f"{owner}{convs}.{int(match['level']) - first}.{kind}."

    shape = (
        r"^neck\.fpn_(?P<inner>inner_)?(?:res)?(?P<level>\d)(?:_sum)?(?:_lateral)?\.(?P<kind>conv\.|norm\.)?(?=\w+$)"
    )
    return ((shape, level),)


_MOBILE: Names = (
    (r"^backbone\.(conv\d(?:_\d)?)\._(depthwise_conv|pointwise_conv)\._conv\.", r"backbone.\1.\2.conv."),
    (r"^backbone\.(conv\d(?:_\d)?)\._(depthwise_conv|pointwise_conv)\._batch_norm\.", r"backbone.\1.\2.bn."),
    (r"^backbone\.conv1\._conv\.", "backbone.conv1.conv."),
    (r"^backbone\.conv1\._batch_norm\.", "backbone.conv1.bn."),
    (r"^backbone\.(conv\d+)\.mid_se\.conv1\.", r"backbone.\1.se.squeeze."),
    (r"^backbone\.(conv\d+)\.mid_se\.conv2\.", r"backbone.\1.se.excite."),
    (r"^backbone\._ghostbottleneck_(\d+)\.se_block\.squeeze\.", r"backbone.block\1.se.squeeze."),
    (r"^backbone\._ghostbottleneck_(\d+)\.se_block\.excitation\.", r"backbone.block\1.se.excite."),
    (r"^backbone\._ghostbottleneck_(\d+)\.", r"backbone.block\1."),
)

NAMES: Names = (*_RESIDUAL, *_HRNET, *_MOBILE)

__all__ = ["NAMES", "PART", "Names", "pyramid", "residual_part", "stage_block"]
