"""Region proposal networks from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from detzoo.blocks.any_rpn import AnyRPN
from detzoo.blocks.cascade_rpn import CascadeRPN
from detzoo.blocks.guided_rpn import GuidedRPN
from detzoo.blocks.rpn import RPN
from detzoo.interop.mmdet import guided, learning, parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section

# reads a head, given the maps that it looks at, ``train_cfg`` and ``test_cfg``
Reader: TypeAlias = Callable[[Section, Features, Section, Section], AnyRPN]


def any_rpn(head: Section, features: Features, train: Section, test: Section) -> AnyRPN:
    """Of whichever kind the head is."""
    return READERS.get(head.kinds("RPNHead", *READERS), rpn)(head, features, train, test)


def rpn(head: Section, features: Features, train: Section, test: Section) -> RPN.Config:
    """``RPNHead`` with ``rpn`` and ``rpn_proposal`` of ``train_cfg`` and ``rpn`` of ``test_cfg``."""
    with head as given:
        given.kinds("RPNHead")
        parts.derived(given, "in_channels", features.channels[0])
        given.fixed("num_convs", 1)
        given.fixed("num_classes", 1)
        legacy = parts.legacy(given)
        parts.fixed_coder(given, (1.0, 1.0, 1.0, 1.0), legacy)
        learning.cross_entropy(given, sigmoid=True)
        usual: dict[str, Any] = {"scales": [8, 16, 32], "strides": [4, 8, 16, 32, 64]}
        settings: dict[str, Any] = {
            "legacy": legacy,
            "channels": given.whole("feat_channels", 256, MOST_CHANNELS),
            "anchors": parts.anchors_of(given, features, legacy=legacy, **usual),
            "box_loss": learning.box_loss(given, {"type": "SmoothL1Loss", "beta": 1 / 9}),
        }
        if train.has("rpn"):
            with train.section("rpn") as learn:
                settings["match"] = learning.match(learn, RPN.Config().match)
                settings |= learning.sampler(learn, objects_too=False)
                settings["border"] = learning.border(learn)
                learning.weights_of_anchors(learn)
        return RPN.Config.model_validate(settings | _proposals(train, test))


def guided_rpn(head: Section, features: Features, train: Section, test: Section) -> GuidedRPN.Config:
    """``GARPNHead`` with ``rpn`` and ``rpn_proposal`` of ``train_cfg`` and ``rpn`` of ``test_cfg``."""
    with head as given, train.section("rpn", {}) as learn:
        parts.derived(given, "in_channels", features.channels[0])
        given.fixed("num_classes", 1)
        learning.cross_entropy(given, sigmoid=True)
        settings: dict[str, Any] = {
            "channels": given.whole("feat_channels", 256, MOST_CHANNELS),
            "stds": parts.coder(given, (1.0, 1.0, 1.0, 1.0)),
            "box_loss": learning.box_loss(given, {"type": "SmoothL1Loss", "beta": 1.0}),
            **guided.branches(given, features, learn),
        }
        if learn.has("assigner"):
            settings["match"] = learning.match(learn, RPN.Config().match)
            settings |= learning.sampler(learn, objects_too=False)
        return GuidedRPN.Config.model_validate(settings | _proposals(train, test))


def cascade_rpn(head: Section, features: Features, train: Section, test: Section) -> CascadeRPN.Config:
    """``CascadeRPNHead`` of two stages, with ``rpn``, a list, and ``rpn_proposal`` of ``train_cfg``."""
    with head as given:
        given.fixed("num_classes", 1)
        parts.derived(given, "num_stages", 2)
        stages = given.sections("stages")
        if len(stages) != 2:
            given.differs("stages", "has no counterpart; a list of two has")
        with stages[0] as first, stages[1] as second:
            channels = first.whole("feat_channels", 256, MOST_CHANNELS)
            if second.whole("feat_channels", 256, MOST_CHANNELS) != channels:
                second.differs("feat_channels", f"has no counterpart; the first stage's {channels} has")
            side = _stage(first, features, features.channels[0], first=True)
            _stage(second, features, channels, first=False)  # whose anchors are what the first makes
            first.ignore("loss_cls")  # of scores that it does not have
            default = {"type": "dilation", "dilation": 3}
            with first.section("adapt_cfg", default) as around, second.section("adapt_cfg", default) as inside:
                around.kinds("dilation")
                inside.kinds("offset")
                dilation = around.whole("dilation", 3, MOST_CHANNELS)
            loss = {"type": "SmoothL1Loss", "beta": 1 / 9}
            settings: dict[str, Any] = {
                "channels": channels,
                "side": side,
                "dilation": dilation,
                "first_stds": parts.coder(first, (1.0, 1.0, 1.0, 1.0)),
                "stds": parts.coder(second, (1.0, 1.0, 1.0, 1.0)),
                "first_loss": learning.box_loss(first, loss),
                "class_weight": learning.cross_entropy(second, sigmoid=True, weighted=True),
                "box_loss": learning.box_loss(second, loss),
            }
        if train.has("rpn"):
            settings |= learning.tried(train, "rpn", {}, lambda: _regions_first(train))
        return CascadeRPN.Config.model_validate(settings | _proposals(train, test))


def _stage(stage: Section, features: Features, inputs: int, first: bool) -> float:
    """Check what cannot be set of a ``StageCascadeRPNHead``; the edge of its anchors, in strides."""
    stage.kinds("StageCascadeRPNHead")
    stage.fixed("num_classes", 1)
    stage.fixed("num_convs", 1)
    parts.derived(stage, "in_channels", inputs)
    for name, usual, wanted in (("bridged_feature", False, first), ("with_cls", True, not first)):
        if stage.flag(name, usual) != wanted:
            stage.differs(name, f"has no counterpart; {wanted} has")
    if stage.flag("sampling", not first) == first:
        stage.noted("sampling", f"has no counterpart; {not first} has")
    return parts.one_anchor(stage, features, ratios=[1.0], scales=[8], strides=[4, 8, 16, 32, 64])


def _regions_first(train: Section) -> dict[str, Any]:
    """``rpn`` of ``train_cfg``, one for each stage: the first learns by regions, the second by overlaps."""
    found = train.sections("rpn")
    if len(found) != 2:
        train.differs("rpn", "has no counterpart; a list of two has")
        return {}
    settings: dict[str, Any] = {}
    with found[0] as region, found[1] as learn:
        for one in found:
            one.fixed("allowed_border", -1)
            learning.weights_of_anchors(one)
        with region.section("assigner") as given:
            if learning.known(given, "RegionAssigner"):
                settings["centre"] = given.number("center_ratio", 0.2)
                settings["around"] = given.number("ignore_ratio", 0.5)
        learning.no_sampler(region)
        settings["match"] = learning.match(learn, CascadeRPN.Config().match)
        return settings | learning.sampler(learn, objects_too=False)


READERS: dict[str, Reader] = {"CascadeRPNHead": cascade_rpn, "GARPNHead": guided_rpn}


def _proposals(train: Section, test: Section) -> dict[str, Any]:
    """How many proposals come out, and how: ``rpn`` of ``test_cfg`` and ``rpn_proposal`` of ``train_cfg``."""
    with test.section("rpn") as found:
        settings = _few(found)
    with train.section("rpn_proposal", test.values["rpn"]) as found:
        in_training = _few(found)
        if train.has("rpn_proposal"):
            found.notes.extend(parts.kept_empty(found))
        for name in ("nms", "min_size"):
            if in_training[name] != settings[name]:
                found.notes.append(f"{found.path}: its {name} is that of test_cfg.rpn here")
    both = {f"train_{name}": in_training[name] for name in ("candidates", "proposals")}
    return settings | both


def _few(found: Section) -> dict[str, Any]:
    found.fixed("nms_across_levels", False)
    count = found.whole("max_num" if found.has("max_num") else "max_per_img")
    if found.has("max_per_img"):
        parts.derived(found, "max_per_img", count)
    if found.has("nms_post") and found.whole("nms_post") < count:
        found.differs("nms_post", f"is less than the {count} proposals of an image; here it would not bind")
    least = found.number("min_bbox_size", 0.0)
    return {
        "candidates": parts.candidates(found),
        "proposals": count,
        "nms": _overlap(found),
        "min_size": max(least, 0.0),  # -1 keeps boxes without any area too, which nothing is found in
    }


def _overlap(found: Section) -> float:
    """The IoU of ``nms``, or of the older ``nms_thr``; both may be there if they are equal."""
    if not found.has("nms_thr"):
        return parts.nms(found)
    overlap = found.number("nms_thr")
    if found.has("nms") and parts.nms(found) != overlap:
        found.differs("nms_thr", f"contradicts nms, whose IoU is {parts.nms(found):g}")
    return overlap


__all__ = ["Reader", "any_rpn", "rpn"]
