"""Cascade R-CNN and Cascade Mask R-CNN from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detzoo.blocks.cascade import Stage
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.side_aware import SideAware
from detzoo.detector import Input
from detzoo.interop.mmdet import parts, roi_extractors, two_stage
from detzoo.interop.mmdet.parts import Features
from detzoo.interop.section import Section
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN

Others = Callable[[Section, Features, dict[str, Any], int], dict[str, Any]]
MOST_STAGES = 16


def cascade_rcnn(model: Section, input: Input) -> tuple[CascadeRCNN.Config | CascadeMaskRCNN.Config, int]:
    """Settings and number of classes of a ``CascadeRCNN``; with masks where it has a mask head."""
    with model as given:
        settings, classes = cascade(given)
        kind = CascadeMaskRCNN.Config if "mask_head" in settings else CascadeRCNN.Config
        return kind.model_validate({"input": input, **settings}), classes


def cascade(
    model: Section,
    kinds: tuple[str, str] = ("CascadeRoIHead", "FCNMaskHead"),
    others: Others = lambda roi, features, settings, classes: {},
) -> tuple[dict[str, Any], int]:
    """Settings of a model of several stages, and the number of classes.

    Args:
        model: its section.
        kinds: of ``roi_head`` and of its mask heads.
        others: takes what else stands in ``roi_head``, given the maps that RoIs are pooled from, settings that are
            known already and the number of classes, and gives settings of it.
    """
    model.section("neck")  # it has to have one
    first, features = two_stage.first_stage(model)
    second, classes = _stages(model, features, kinds, others)
    return {**first, **second}, classes


def _stages(model: Section, features: Features, kinds: tuple[str, str], others: Others) -> tuple[dict[str, Any], int]:
    """``roi_head`` with ``rcnn`` of ``train_cfg`` and ``test_cfg``."""
    with model.section("test_cfg").section("rcnn") as test, model.section("roi_head") as roi:
        roi.kinds(kinds[0])
        roi.fixed("shared_head")
        weights = roi.numbers("stage_loss_weights")
        if not 1 <= len(weights) <= MOST_STAGES:
            roi.differs("stage_loss_weights", f"is not one number for each of up to {MOST_STAGES} stages")
        parts.derived(roi, "num_stages", len(weights))
        count = len(weights)
        learning = each_stage(model.section("train_cfg", {}, training=True), "rcnn", count, {})
        pooled = roi_extractors.extractor(alike(roi, "bbox_roi_extractor", count), features)
        made_stages, heads, seen = [], [], []
        for weight, head, train in zip(weights, each_stage(roi, "bbox_head", count), learning, strict=True):
            made, classes = two_stage.box_head(head, pooled, train, test, stage=False)
            one = Stage(match=made.match, stds=made.stds, weight=weight)
            if made.side_aware is not None:
                one = one.replace(bucket_scale=made.side_aware.scale)
                made = made.replace(side_aware=made.side_aware.replace(scale=SideAware.Config().scale))
            made_stages.append(one)
            heads.append(made.replace(match=BoxHead.Config().match, stds=BoxHead.Config().stds))
            seen.append(classes)
        if any(head != heads[0] for head in heads) or len(set(seen)) > 1:
            roi.differs(
                "bbox_head", "has no counterpart: stages may differ in target_stds, scale_factor and assigner only"
            )
        settings: dict[str, Any] = {"box_head": heads[0], "stages": made_stages, "roi_levels": pooled.levels}
        if roi.has("mask_head"):
            settings["mask_head"] = _masks(roi, pooled, features, seen[0], learning, test, kinds[1])
        settings |= others(roi, features, settings, seen[0])
        # written beside a detector without masks, too
        test.ignore("mask_thr_binary")
        for train in learning:
            with train:
                train.ignore("mask_size")
        return settings, seen[0]


def _masks(
    roi: Section,
    pooled: roi_extractors.Pooled,
    features: Features,
    classes: int,
    learning: list[Section],
    test: Section,
    kind: str,
) -> MaskHead.Config:
    """The mask head of every stage."""
    own = alike(roi, "mask_roi_extractor", len(learning)) if roi.has("mask_roi_extractor") else None
    pooled = two_stage.pooled_for_masks(roi, own, pooled, features)
    heads = [
        two_stage.mask_head(head, pooled, classes, train, test, kind, first=not number)
        for number, (head, train) in enumerate(zip(each_stage(roi, "mask_head", len(learning)), learning, strict=True))
    ]
    if any(head != heads[0] for head in heads):
        roi.differs("mask_head", "has no counterpart: those of all stages have to be alike")
    return heads[0]


def each_stage(owner: Section, name: str, count: int, default: dict[str, Any] | None = None) -> list[Section]:
    """The section of each stage; one that is no list is that of all."""
    if isinstance(owner.take(name), list | tuple):
        found = owner.sections(name)
        if len(found) != count:
            owner.differs(name, f"is not one for each of {count} stages")
            found = [Section(default or {}, f"{owner.path}.{name}", owner.notes, owner.training)] * count
        return found
    return [owner.section(name, default) for _ in range(count)]


def alike(owner: Section, name: str, count: int) -> Section:
    """The section that all stages share."""
    found = each_stage(owner, name, count)
    if any(one.values != found[0].values for one in found):
        owner.differs(name, "has no counterpart: those of all stages have to be alike")
    return found[0]


__all__ = ["MOST_STAGES", "alike", "cascade", "cascade_rcnn", "each_stage"]
