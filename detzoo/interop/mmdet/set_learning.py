"""What models learn from that predict a set: costs of matches, and losses of what is matched."""

from __future__ import annotations

from typing import Any

from detzoo.interop.mmdet import learning
from detzoo.interop.section import Section

# settings of version 2 and 3, and ours
_OLD_COSTS = {"cls_cost": "ClassificationCost", "reg_cost": "BBoxL1Cost", "iou_cost": "IoUCost"}
_OLDEST_COSTS = {"cls_weight": "cls", "bbox_weight": "box", "iou_weight": "iou"}
_L1 = {"type": "L1Loss", "loss_weight": 5.0}
_FOCAL = {"alpha": 0.25, "gamma": 2.0}


def matched(train: Section, classes: str = "ClassificationCost", boxes: str = "xywh") -> dict[str, dict[str, float]]:
    """``assigner`` as setting ``costs``; none where it is absent.

    ``classes`` is the kind of the cost of the class, and ``boxes`` the form in which L1 compares boxes.
    """
    learning.no_sampler(train)
    if train.has("assigner"):
        return {"costs": _costs(train, classes, boxes)}
    if classes != "ClassificationCost":
        train.notes.append(f"{train.at('assigner')} is left out, which is ClassificationCost; here it is {classes}")
    return {}


def _costs(train: Section, classes: str, boxes: str) -> dict[str, float]:
    """The weights of the costs: those in a list, or in version 2 three that are 1 where left out."""
    kinds = {classes: "cls", "BBoxL1Cost": "box", "IoUCost": "iou"}
    with train.section("assigner") as given:
        if not learning.known(given, "HungarianAssigner"):
            return {}
        if given.values.keys() & _OLDEST_COSTS.keys():
            given.fixed("iou_calculator", {"type": "BboxOverlaps2D"})
            given.fixed("iou_mode", "giou")
            return {ours: given.number(name, 1.0) for name, ours in _OLDEST_COSTS.items()}
        if given.has("match_costs"):
            found = given.sections("match_costs")
            weights = dict.fromkeys(kinds.values(), 0.0)
        else:
            found = [given.section(name, {"type": kind, "weight": 1.0}) for name, kind in _OLD_COSTS.items()]
            weights = {}
        for cost in found:
            with cost:
                if learning.known(cost, *kinds):
                    if cost.kind == "BBoxL1Cost" and cost.word("box_format", "xyxy") != boxes:
                        cost.differs("box_format", f"has no counterpart (left out it is 'xyxy'); {boxes!r} has")
                    if cost.kind == "FocalLossCost":
                        for name, value in _FOCAL.items():
                            cost.fixed(name, value)
                        cost.fixed("binary_input", False)
                        cost.ignore("eps")  # keeps logarithms finite
                    cost.fixed("iou_mode", "giou")
                    weights[kinds[cost.kind]] = cost.number("weight", 1.0)
        return weights


def box_weights(head: Section, boxes: dict[str, Any] = _L1) -> dict[str, float]:
    """``loss_bbox``, which is ``boxes`` where it is left out, and ``loss_iou`` as weights."""
    weights = {}
    defaults = {"box": ("loss_bbox", boxes), "iou": ("loss_iou", {"type": "GIoULoss", "loss_weight": 2.0})}
    for (ours, (name, default)), kind in zip(defaults.items(), ("L1Loss", "GIoULoss"), strict=True):
        with head.section(name, default, training=True) as given:
            if learning.known(given, kind):
                given.fixed("reduction", "mean")
                given.ignore("eps")  # keeps divisions finite
                weights[ours] = given.number("loss_weight", 1.0)
    return weights


def focal_weight(head: Section) -> dict[str, float]:
    """``loss_cls``, a ``FocalLoss`` of the usual exponents, as a weight."""
    found = learning.exponents(head, "FocalLoss", alpha=0.25, gamma=2.0, loss_weight=1.0)
    if any(found.get(name, value) != value for name, value in _FOCAL.items()):
        head.notes.append(f"{head.path}.loss_cls: alpha and gamma other than {_FOCAL} have no counterpart")
    return {"cls": found["loss_weight"]} if found else {}


__all__ = ["box_weights", "focal_weight", "matched"]
