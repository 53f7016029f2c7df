"""Normalization, deformable convolution, anchors and suppression: settings that many methods share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from detzoo.blocks.anchors import Anchors
from detzoo.blocks.carafe import Carafe
from detzoo.blocks.layers import GROUPS, Deform, Norm
from detzoo.blocks.suppression import SoftNMS
from detzoo.config import ConfigError
from detzoo.interop.said import short
from detzoo.interop.section import LARGEST, Section

MOST_CHANNELS = 1 << 16
MOST_LAYERS = 64  # of one tower
_MOMENTUM = 0.1  # by which batch normalization's running statistics move


@dataclass(frozen=True)
class Features:
    """What a backbone or neck returns: channels and stride of each map."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


def norm(owner: Section, name: str = "norm_cfg", default: Norm | None = None, own: bool = False) -> Norm | None:
    """The kind of normalization in ``norm_cfg``; None: there is none. ``own``: `norm_eps`, `norm_frozen` read more."""
    if not owner.has(name):
        return default
    with owner.section(name) as config:
        kind: Norm = "gn" if config.kinds("BN", "BN2d", "SyncBN", "MMSyncBN", "GN") == "GN" else "bn"
        if kind == "gn":
            config.fixed("num_groups", GROUPS)
        if config.number("momentum", _MOMENTUM) != _MOMENTUM and kind == "bn":
            config.noted("momentum", f"has no counterpart; {_MOMENTUM} has")
        if own:
            config.ignore("eps", "requires_grad")
            return kind
        config.fixed("eps", 1e-5)
        if not config.flag("requires_grad", True):
            config.noted("requires_grad", "has no counterpart: the normalization of this part is learned")
        return kind


def norm_eps(owner: Section) -> float:
    """What the normalization in ``norm_cfg`` adds to the variance."""
    return owner.section("norm_cfg").number("eps", 1e-5) if owner.has("norm_cfg") else 1e-5


def norm_frozen(owner: Section) -> bool:
    """Whether scales and offsets of the normalization in ``norm_cfg`` are not learned."""
    return owner.has("norm_cfg") and owner.section("norm_cfg").take("requires_grad", True) is False


def standardized(owner: Section) -> bool:
    """Whether ``conv_cfg`` asks for convolutions of standardized weights."""
    if not owner.has("conv_cfg"):
        return False
    with owner.section("conv_cfg") as config:
        return config.kinds("ConvWS", "Conv", "Conv2d") == "ConvWS"


def deform(given: Section) -> Deform:
    """``DCN`` and ``DCNv2``."""
    with given:
        version = 2 if given.kinds("DCN", "DCNv2") == "DCNv2" else 1
        given.fixed("fallback_on_stride", False)
        old = "deformable_groups" if given.has("deformable_groups") else "deform_groups"
        return Deform.model_validate({"version": version, "groups": given.whole(old, 1, MOST_CHANNELS)})


def carafe(given: Section) -> Carafe.Config:
    """``carafe``, twice the size."""
    with given:
        given.kinds("carafe")
        derived(given, "scale_factor", Carafe.SCALE)
        return Carafe.Config.model_validate(
            {
                "kernel": given.whole("up_kernel", 5),
                "groups": given.whole("up_group", 1, MOST_CHANNELS),
                "encoder_kernel": given.whole("encoder_kernel", 3),
                "encoder_dilation": given.whole("encoder_dilation", 1, MOST_CHANNELS),
                "compressed": given.whole("compressed_channels", 64, MOST_CHANNELS),
            }
        )


def relu(owner: Section, name: str = "act_cfg") -> None:
    """An activation that has to be ReLU, as it is where it is left out."""
    with owner.section(name, {"type": "ReLU"}) as given:
        given.kinds("ReLU")


def derived(given: Section, name: str, known: Sequence[float] | int, left_out: Sequence[float] | None = None) -> None:
    """Numbers that follow from other settings: they are not taken, but have to be what follows.

    Where they are absent they are ``left_out`` there; None: what follows, or nothing would fit together.

    Raises:
        ConfigError: they are others.
    """
    wanted = (known,) if isinstance(known, int) else tuple(known)
    if given.has(name):
        values = (given.whole(name),) if isinstance(known, int) else given.numbers(name)
        hint = ""
    else:
        values = wanted if left_out is None else tuple(left_out)
        hint = f" (left out it is {list(values)})"
    if values != wanted:
        given.differs(name, f"does not fit the parts before it, which give {list(wanted)}{hint}")


def point_strides(head: Section, features: Features) -> None:
    """``strides`` of a head whose cells are points."""
    derived(head, "strides", features.strides, (4, 8, 16, 32, 64))


def used(neck: Section, features: Features) -> dict[str, int | None]:
    """``start_level`` and ``end_level`` as settings ``start`` and ``end``."""
    end = neck.whole("end_level", -1, most=16)
    whole = end in (-1, len(features.channels) - 1)
    return {"start": neck.whole("start_level", 0, most=16), "end": None if whole else end + 1}


def anchors(given: Section, features: Features, legacy: bool = False) -> Anchors.Config:
    """``AnchorGenerator``, or the ``Legacy`` one: of every ratio and scale one anchor per cell."""
    with given:
        given.kinds(f"{'Legacy' if legacy else ''}AnchorGenerator")
        derived(given, "strides", features.strides)
        derived(given, "base_sizes", features.strides)
        given.fixed("scale_major", True)
        given.fixed("centers")
        centre = 0.5 if legacy else 0
        if given.number("center_offset", 0) != centre:
            given.differs("center_offset", f"has no counterpart; {centre} has")
        if given.has("scales"):
            scales = given.numbers("scales")
            for name in ("octave_base_scale", "scales_per_octave"):
                given.fixed(name)
        else:
            base, count = given.number("octave_base_scale"), given.whole("scales_per_octave", most=MOST_LAYERS)
            scales = tuple(base * 2 ** (step / count) for step in range(count))
        ratios = given.numbers("ratios")
        if not scales or not ratios or min(*scales, *ratios) <= 0:
            raise ConfigError(f"{given.path}: scales and ratios are lists of numbers above 0")
        return Anchors.Config(scales=scales, ratios=ratios)


def anchors_of(
    head: Section, features: Features, name: str = "anchor_generator", legacy: bool = False, **usual: Any
) -> Anchors.Config:
    """`anchors` of a head, which has those of its ``usual`` settings where it leaves them out."""
    default = {"type": "AnchorGenerator", "ratios": [0.5, 1.0, 2.0], **usual}
    return anchors(head.section(name, default), features, legacy)


def coder(
    owner: Section,
    stds: Sequence[float],
    name: str = "bbox_coder",
    legacy: bool = False,
    limited: bool = False,
    clipped: bool = True,
) -> tuple[float, float, float, float]:
    """Standard deviations of box offsets in ``bbox_coder``; ``stds`` where it leaves them out.

    How far a decoded centre may move is not limited by default, or is read elsewhere where it may be ``limited``; that
    widths and heights grow 62 times at most is the same everywhere. ``clipped``: boxes end at the image's borders.
    """
    default = {"type": "DeltaXYWHBBoxCoder", "target_stds": list(stds)}
    with owner.section(name, default) as given:
        given.kinds(f"{'Legacy' if legacy else ''}DeltaXYWHBBoxCoder")
        given.fixed("target_means", (0, 0, 0, 0))
        if given.flag("clip_border", True) != clipped:
            given.differs("clip_border", f"has no counterpart; {clipped} has")
        given.fixed("add_ctr_clamp", False, *([True] if limited else []))
        given.ignore("ctr_clamp")  # without add_ctr_clamp
        found = given.numbers("target_stds", (1.0, 1.0, 1.0, 1.0), count=4)
        return cast(tuple[float, float, float, float], found)


def legacy(head: Section, anchors: bool = True) -> bool:
    """Whether a head has boxes of version 1: ``Legacy...`` anchors, if it has any, and the ``Legacy...`` coder."""
    names = ("anchor_generator", "bbox_coder") if anchors else ("bbox_coder",)
    kinds = [head.section(name, {"type": ""}).kind for name in names]
    found = {kind.startswith("Legacy") for kind in kinds}
    if len(found) > 1:
        head.differs("bbox_coder", f"has no counterpart: {' and '.join(kinds)} are of two versions")
    return found == {True}


def fixed_coder(owner: Section, stds: Sequence[float], legacy: bool = False, limited: bool = False) -> None:
    """A ``bbox_coder`` whose standard deviations cannot be set here; a head that leaves it out has 1 for all."""
    if coder(owner, (1.0, 1.0, 1.0, 1.0), legacy=legacy, limited=limited) != tuple(stds):
        owner.differs("bbox_coder", f"has no counterpart; target_stds={list(stds)} has")


def distance_coder(owner: Section) -> None:
    """A ``bbox_coder`` of distances from points, which has nothing to be set."""
    with owner.section("bbox_coder", {"type": "DistancePointBBoxCoder"}) as given:
        given.kinds("DistancePointBBoxCoder")
        given.fixed("clip_border", True)


def one_anchor(owner: Section, features: Features, **default: Any) -> float:
    """The edge, in strides, of the one anchor of each cell in ``anchor_generator``, a square."""
    found = anchors_of(owner, features, **default)
    if found.ratios != (1.0,) or len(found.scales) != 1:
        owner.differs("anchor_generator", "has no counterpart; a single square anchor for each cell has")
    return found.scales[0]


def renamed(given: Section, old: str, new: str) -> None:
    """Have a setting of an older version under its new name.

    Raises:
        ConfigError: both are there and differ.
    """
    if not given.has(old):
        return
    value = given.take(old)
    if given.has(new) and given.take(new) != value:
        given.differs(old, f"contradicts {new}, which is {short(given.take(new))}")
    given.values = {**given.values, new: value}


def nms(owner: Section, name: str = "nms") -> float:
    """The IoU above which ``nms`` drops a box, within a class."""
    with owner.section(name) as given:
        if given.has("type"):
            given.kinds("nms")
        most, bound = given.whole("max_num", -1), owner.take("max_per_img", owner.take("max_num"))
        if most >= 0 and (not isinstance(bound, int | float) or most < bound):
            given.differs("max_num", f"has no counterpart below that of {owner.path}; put it there")
        return _overlap(given)


def nms_or_soft(owner: Section, name: str = "nms") -> tuple[float, SoftNMS | None]:
    """The IoU of ``nms`` and, for ``soft_nms``, how scores fall."""
    if owner.section(name).take("type") != "soft_nms":
        return nms(owner, name), None
    with owner.section(name) as given:
        soft = SoftNMS.model_validate(
            {
                "method": given.word("method", "linear"),
                "sigma": given.number("sigma", 0.5),
                "min_score": given.number("min_score", 1e-3),
            }
        )
        return _overlap(given, 0.3), soft


def _overlap(given: Section, default: float | None = None) -> float:
    given.fixed("class_agnostic", False)
    given.ignore("split_thr")  # how many boxes are compared at once
    renamed(given, "iou_thr", "iou_threshold")
    return given.number("iou_threshold", default)


def dense_tests(test: Section) -> dict[str, float]:
    """``test_cfg`` of a dense head: how many candidates, the least score, suppression, how many detections."""
    test.fixed("min_bbox_size", 0, -1)  # the importer says what -1 does
    if test.take("nms_pre") == 0:
        test.differs("nms_pre", "finds nothing there; -1 takes all")
    return {
        "candidates": candidates(test, -1),
        "threshold": test.number("score_thr"),
        "nms": nms(test),
        "detections": detections(test),
    }


def keeps_empty(test: Section) -> bool:
    """Whether boxes without any area stay: ``min_bbox_size`` is below 0, as it is where it is left out."""
    return test.number("min_bbox_size", -1) < 0


def kept_empty(test: Section) -> list[str]:
    """What says that boxes without any area stay, of a method where they do not."""
    why = "is below 0 or left out, which keeps boxes without any area; here it is 0"
    return [f"{test.at('min_bbox_size')} {why}"] if keeps_empty(test) else []


def candidates(test: Section, default: int | None = None) -> int:
    """How many boxes of a level enter suppression at most, ``nms_pre``."""
    most = test.whole("nms_pre", default)
    return most if most > 0 else LARGEST  # 0 and -1: all


def detections(test: Section) -> int:
    """How many detections of an image are returned at most, ``max_per_img``."""
    most = test.whole("max_per_img")
    if most < 1:
        test.differs("max_per_img", "has no counterpart: all are never returned; a number such as 100 has")
    return most


__all__ = [
    "MOST_CHANNELS",
    "MOST_LAYERS",
    "Features",
    "anchors",
    "anchors_of",
    "candidates",
    "carafe",
    "coder",
    "deform",
    "dense_tests",
    "derived",
    "detections",
    "distance_coder",
    "fixed_coder",
    "keeps_empty",
    "kept_empty",
    "legacy",
    "nms",
    "nms_or_soft",
    "norm",
    "norm_eps",
    "norm_frozen",
    "one_anchor",
    "point_strides",
    "relu",
    "renamed",
    "standardized",
    "used",
]
