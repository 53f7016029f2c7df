"""What only training uses: losses, assignment and sampling. What has no counterpart becomes a note."""

from __future__ import annotations

from typing import Any

from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.losses import BoxLoss
from detzoo.interop.mmdet.section import Section

_BOX_LOSSES = {
    "L1Loss": "l1",
    "SmoothL1Loss": "smooth_l1",
    "BalancedL1Loss": "balanced_l1",
    "IoULoss": "iou",
    "GIoULoss": "giou",
    "DIoULoss": "diou",
    "CIoULoss": "ciou",
    "BoundedIoULoss": "bounded_iou",
}
_BETA = {"SmoothL1Loss": 1.0, "BalancedL1Loss": 1.0, "BoundedIoULoss": 0.2}


def box_loss(head: Section, default: dict[str, Any], decodes: bool | None = None) -> BoxLoss:
    """``loss_bbox`` of a head; ``default`` where it leaves it out.

    ``decodes`` says whether the head compares boxes rather than offsets; None: ``reg_decoded_bbox`` does.
    """
    with head.section("loss_bbox", default, training=True) as given:
        decoded = head.flag("reg_decoded_bbox", False) if decodes is None else decodes
        if not known(given, *_BOX_LOSSES):
            return BoxLoss()
        kind = given.kind
        settings: dict[str, Any] = {"kind": _BOX_LOSSES[kind], "weight": given.number("loss_weight", 1.0)}
        if kind in _BETA:
            settings["beta"] = given.number("beta", _BETA[kind])
        if kind == "BalancedL1Loss":
            settings |= {"alpha": given.number("alpha", 0.5), "gamma": given.number("gamma", 1.5)}
        if kind == "IoULoss":
            given.fixed("mode", "log")
            given.fixed("linear", False)
        given.fixed("reduction", "mean")
        given.ignore("eps")  # keeps divisions finite
        loss = BoxLoss.model_validate(settings)
        if decoded != loss.on_boxes:
            given.noted("type", f"compares {'boxes' if loss.on_boxes else 'offsets'} here")
            return loss if decodes is None else BoxLoss(kind="iou")
        return loss


def known(given: Section, *kinds: str) -> bool:
    """Whether a training section is of one of these kinds; if not, that is noted and the section is done."""
    if given.kind in kinds:
        return True
    given.differs("type", f"has no counterpart; {' and '.join(kinds)} {'has' if len(kinds) == 1 else 'have'}")
    given.ignore(*given.values)
    return False


def cross_entropy(head: Section, sigmoid: bool, name: str = "loss_cls") -> None:
    """A classification loss without settings here; whether scores are sigmoids is part of the model."""
    default = {"type": "CrossEntropyLoss", "use_sigmoid": sigmoid}
    with head.section(name, default) as given:
        given.kinds("CrossEntropyLoss")
        given.fixed("use_sigmoid", *((True,) if sigmoid else (False,)))
        given.training = True
        given.fixed("loss_weight", 1.0)
        given.fixed("class_weight")
        given.fixed("ignore_index")
        given.fixed("use_mask", False)
        given.fixed("reduction", "mean")
        given.fixed("avg_non_ignore", False)


def match(owner: Section, default: MatchConfig) -> MatchConfig:
    """``assigner`` of a training section; ``default`` for one that has no counterpart."""
    with owner.section("assigner", training=True) as given:
        if not known(given, "MaxIoUAssigner"):
            return default
        given.fixed("ignore_wrt_candidates", True)
        with given.section("iou_calculator", {"type": "BboxOverlaps2D"}) as overlaps:
            known(overlaps, "BboxOverlaps2D")
        given.ignore("gpu_assign_thr")  # where it is computed
        low_quality = given.flag("match_low_quality", True)
        least = given.number("min_pos_iou", 0.0)
        return MatchConfig(
            positive=given.number("pos_iou_thr"),
            negative=given.number("neg_iou_thr"),
            low_quality=least if low_quality else None,
            low_quality_ties=given.flag("gt_max_assign_all", True),
            ignore=given.number("ignore_iof_thr", -1.0),
        )


def sampler(owner: Section, objects_too: bool) -> dict[str, Any]:
    """``sampler`` of a training section, as settings ``samples``, ``positives`` and ``hard_examples``."""
    with owner.section("sampler", training=True) as given:
        if not known(given, "RandomSampler", *(("OHEMSampler",) if objects_too else ())):
            return {}
        settings: dict[str, Any] = {}
        if given.kind == "OHEMSampler":
            given.fixed("loss_key", "loss_cls")
            settings["hard_examples"] = True
        given.fixed("neg_pos_ub", -1)
        if given.flag("add_gt_as_proposals", True) != objects_too:
            given.differs("add_gt_as_proposals", f"has no counterpart; {objects_too} has")
        return settings | {"samples": given.whole("num"), "positives": given.number("pos_fraction")}


def focal(head: Section, name: str = "loss_cls") -> dict[str, float]:
    """``FocalLoss`` on sigmoids, as settings ``alpha`` and ``gamma``."""
    with head.section(name, {"type": "FocalLoss"}) as given:
        given.kinds("FocalLoss")
        given.fixed("use_sigmoid", True)
        given.training = True
        given.fixed("loss_weight", 1.0)
        given.fixed("reduction", "mean")
        return {"alpha": given.number("alpha", 0.25), "gamma": given.number("gamma", 2.0)}


def no_sampler(train: Section) -> None:
    """``sampler`` where everything is learned from."""
    if train.has("sampler"):
        with train.section("sampler") as given:
            known(given, "PseudoSampler")


def border(train: Section) -> float | None:
    """``allowed_border``: pixels that anchors may reach out of the image to learn; None: all learn."""
    pixels = train.number("allowed_border", -1)
    return None if pixels < 0 else pixels


def weights_of_anchors(train: Section) -> None:
    """Settings of anchors' training that have one value here."""
    train.fixed("pos_weight", -1)
    train.ignore("debug")  # prints


__all__ = [
    "border",
    "box_loss",
    "cross_entropy",
    "focal",
    "known",
    "match",
    "no_sampler",
    "sampler",
    "weights_of_anchors",
]
