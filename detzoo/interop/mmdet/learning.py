"""What only training uses: losses, assignment and sampling. What has no counterpart becomes a note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.balanced_sampling import Balance
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.prime_samples import PrimeSamples, ScoreRanks, Weighting
from detzoo.config import ConfigError
from detzoo.interop.section import Section

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
_OF_ROIS = ("OHEMSampler", "CombinedSampler", "ScoreHLRSampler")
_FOCAL = {"alpha": 0.25, "gamma": 2.0}
_LEFT_OUT = {"use_sigmoid": False, "use_mask": False, "reduction": "mean"}  # of losses
_EPS = {"IoULoss": 1e-6, "BoundedIoULoss": 1e-3}  # of losses that it bounds; elsewhere it keeps divisions finite
# losses that say themselves how many outputs there are, and how they become scores
_SCORING = ("SeesawLoss", "CrossEntropyCustomLoss", "FocalCustomLoss")

Read = TypeVar("Read")


def tried(owner: Section, name: str, default: Read, reading: Callable[[], Read]) -> Read:
    """What ``reading`` gives; where a setting of training is malformed, ``default`` and a note."""
    try:
        return reading()
    except ConfigError as error:
        owner.notes.append(f"{error}; the usual {name} takes its place")
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join((owner.path, name, *map(str, problem["loc"])))
        owner.notes.append(f"{place}: {problem['msg'].removeprefix('Value error, ')}; the usual {name} takes its place")
    return default


def box_loss(head: Section, default: dict[str, Any], decodes: bool | None = None, name: str = "loss_bbox") -> BoxLoss:
    """``loss_bbox`` of a head, or the loss of another ``name``; ``default`` where it leaves it out.

    ``decodes`` says whether the head compares boxes rather than offsets; None: ``reg_decoded_bbox`` does.
    """
    return tried(head, name, BoxLoss(), lambda: _box_loss(head, default, decodes, name))


def _box_loss(head: Section, default: dict[str, Any], decodes: bool | None, name: str) -> BoxLoss:
    with head.section(name, default, training=True) as given:
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
            given.fixed("mode", "log", "linear")
            if given.flag("linear", False) or given.take("mode") == "linear":
                settings["kind"] = "linear_iou"
        given.fixed("reduction", "mean")
        if kind in _EPS:
            given.fixed("eps", _EPS[kind])
        given.ignore("eps")
        loss = BoxLoss.model_validate(settings)
        if decoded != loss.on_boxes:
            given.noted("type", f"compares {'boxes' if loss.on_boxes else 'offsets'} here")
            return loss if decodes is None else BoxLoss(kind="iou" if decodes else "l1")
        return loss


def loss_weight(head: Section, name: str, kind: str, usual: float = 1.0, **fixed: object) -> float:
    """The weight of a loss of this ``kind``, ``usual`` where the head leaves it out or has another, which is noted.

    ``fixed`` are settings of the loss that cannot be others.
    """
    with head.section(name, {"type": kind, "loss_weight": usual, **fixed}, training=True) as given:
        if not known(given, kind):
            return usual
        for one, value in fixed.items():
            given.needs(one, value, _LEFT_OUT.get(one))
        return given.number("loss_weight", 1.0)


def known(given: Section, *kinds: str) -> bool:
    """Whether a training section is of one of these kinds; if not, that is noted and the section is done."""
    if given.kind in kinds:
        return True
    given.differs("type", f"has no counterpart; {' and '.join(kinds)} {'has' if len(kinds) == 1 else 'have'}")
    given.ignore(*given.values)
    return False


def cross_entropy(
    head: Section, sigmoid: bool, name: str = "loss_cls", decides: bool = True, weighted: bool = False
) -> float:
    """The weight of a classification loss, which has to be 1 unless it may be ``weighted``.

    ``decides`` says whether its ``use_sigmoid`` makes scores sigmoids or a softmax with one more output for the
    background, which is part of the model; else they are what they are, whatever is learned with.
    """
    default = {"type": "CrossEntropyLoss", "use_sigmoid": sigmoid}
    with head.section(name, default) as given:
        if decides:
            _decided(given, sigmoid)
        else:
            _plain_scores(given)
        given.training = True
        if known(given, "CrossEntropyLoss"):
            given.needs("use_sigmoid", sigmoid, False)
            if not weighted:
                given.fixed("loss_weight", 1.0)
            given.fixed("class_weight")
            given.fixed("ignore_index")
            given.fixed("use_mask", False)
            given.fixed("reduction", "mean")
            given.fixed("avg_non_ignore", False)
            if weighted:
                return tried(head, name, 1.0, lambda: given.number("loss_weight", 1.0))
        return 1.0


def _decided(given: Section, sigmoid: bool) -> None:
    """Refuse a loss with which a head makes other scores than sigmoids, or than a softmax."""
    _plain_scores(given)
    if given.flag("use_sigmoid", False) != sigmoid:
        left_out = "" if given.has("use_sigmoid") else " (left out it is False)"
        given.differs("use_sigmoid", f"has no counterpart{left_out}; {sigmoid} has")


def _plain_scores(given: Section) -> None:
    if given.kind in _SCORING:
        given.differs("type", "makes other scores, which has no counterpart; CrossEntropyLoss has")


def match(owner: Section, default: MatchConfig, kind: str = "MaxIoUAssigner", name: str = "assigner") -> MatchConfig:
    """``assigner`` of a training section, of a ``kind``; ``default`` for one that has no counterpart."""
    return tried(owner, name, default, lambda: _match(owner, default, kind, name))


def _match(owner: Section, default: MatchConfig, kind: str, name: str) -> MatchConfig:
    with owner.section(name, training=True) as given:
        if not known(given, kind):
            return default
        if kind == "ApproxMaxIoUAssigner":  # asks it of other boxes than those that are matched
            given.fixed("ignore_iof_thr", -1)
        given.fixed("ignore_wrt_candidates", True)
        by_iou(given)
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


def by_iou(assigner: Section) -> None:
    """The ``iou_calculator`` of an assigner, of which there is one here."""
    with assigner.section("iou_calculator", {"type": "BboxOverlaps2D"}) as given:
        known(given, "BboxOverlaps2D")


def sampler(owner: Section, objects_too: bool, name: str = "sampler") -> dict[str, Any]:
    """``sampler`` of a training section, as settings ``samples`` and ``positives``.

    With ``objects_too``, of a second stage, ``objects``, ``hard_examples``, ``balance`` and ``score_ranks``, else
    ``negative_ratio``.
    """
    return tried(owner, name, {}, lambda: _sampler(owner, objects_too, name))


def _sampler(owner: Section, objects_too: bool, name: str) -> dict[str, Any]:
    with owner.section(name, training=True) as given:
        if not known(given, "RandomSampler", *(_OF_ROIS if objects_too else ())):
            return {}
        settings: dict[str, Any] = {}
        if given.kind == "OHEMSampler":
            given.fixed("loss_key", "loss_cls")
            settings["hard_examples"] = True
        if given.kind == "CombinedSampler":
            settings["balance"] = _balance(given)
        if given.kind == "ScoreHLRSampler":
            settings["score_ranks"] = ScoreRanks(
                weighting=_weighting(given, ScoreRanks().weighting),
                threshold=given.number("score_thr", 0.05),
                nms=given.number("iou_thr", 0.5),
            )
        if objects_too:
            given.fixed("neg_pos_ub", -1)
            settings["objects"] = given.flag("add_gt_as_proposals", True)
        else:
            if given.flag("add_gt_as_proposals", True):
                given.differs("add_gt_as_proposals", "has no counterpart; False has")
            ratio = given.number("neg_pos_ub", -1)
            settings["negative_ratio"] = None if ratio < 0 else ratio
        return settings | {"samples": given.whole("num"), "positives": given.number("pos_fraction")}


def _balance(given: Section) -> Balance:
    """``pos_sampler`` and ``neg_sampler`` of a ``CombinedSampler``."""
    with given.section("pos_sampler") as positives, given.section("neg_sampler") as negatives:
        objects = known(positives, "InstanceBalancedPosSampler", "RandomSampler") and positives.kind != "RandomSampler"
        ranges = 0
        if known(negatives, "IoUBalancedNegSampler", "RandomSampler") and negatives.kind != "RandomSampler":
            negatives.fixed("floor_thr", -1, 0)
            negatives.fixed("floor_fraction", 0)
            ranges = negatives.whole("num_bins", 3, 1000)
        return Balance(objects=objects, ranges=ranges)


def prime_samples(train: Section) -> PrimeSamples:
    """``isr`` and ``carl`` of a training section, of PISA's heads."""

    def read() -> PrimeSamples:
        usual = PrimeSamples()
        with train.section("isr") as ranks, train.section("carl") as scores:
            return PrimeSamples(ranks=_weighting(ranks, usual.ranks), scores=_weighting(scores, usual.scores))

    return tried(train, "isr and carl", PrimeSamples(), read) if train.values else PrimeSamples()


def _weighting(given: Section, usual: Weighting) -> Weighting:
    return Weighting(power=given.number("k", usual.power), bias=given.number("bias", usual.bias))


def focal(head: Section, name: str = "loss_cls", anchored: bool = False) -> dict[str, float]:
    """``FocalLoss`` of this name, as settings ``alpha`` and ``gamma``; none for another, which is noted.

    A head with anchors (``anchored``) that leaves it out has cross-entropy.
    """
    return exponents(head, "FocalLoss", name, "CrossEntropyLoss" if anchored else "FocalLoss", **_FOCAL)


def exponents(
    head: Section, kind: str, name: str = "loss_cls", left_out: str | None = None, **usual: float
) -> dict[str, float]:
    """The numbers and flags of the focal loss ``name`` of this kind on sigmoids, with their ``usual`` values; none for
    another loss, which is noted. One that is left out is of the kind ``left_out``; None: of this.
    """
    with head.section(name, {"type": left_out or kind, "use_sigmoid": True}) as given:
        _decided(given, sigmoid=True)
        given.training = True
        if not known(given, kind):
            return {}
        if "loss_weight" not in usual:
            given.fixed("loss_weight", 1.0)
        given.fixed("reduction", "mean")
        given.fixed("activated", False)
        return tried(head, name, {}, lambda: {one: _taken(given, one, value) for one, value in usual.items()})


def _taken(given: Section, name: str, usual: float) -> float:
    return given.flag(name, usual) if isinstance(usual, bool) else given.number(name, usual)


def matched(train: Section, default: MatchConfig, kind: str = "MaxIoUAssigner") -> dict[str, MatchConfig]:
    """``assigner`` in the ``train_cfg`` of a head with anchors, as setting ``match``; none where it is absent."""
    all_anchors(train)
    return {"match": match(train, default, kind)} if train.has("assigner") else {}


def assigned(train: Section, kind: str, settings: Callable[[Section], dict[str, Any]]) -> dict[str, Any]:
    """``assigner`` of this ``kind`` in the ``train_cfg`` of a head with anchors, which compares by IoU, as ``settings``
    of ours; none where it is absent or another, which is noted.
    """

    def read() -> dict[str, Any]:
        with train.section("assigner", training=True) as given:
            if not known(given, kind):
                return {}
            by_iou(given)
            return settings(given)

    all_anchors(train)
    return tried(train, "assigner", {}, read) if train.has("assigner") else {}


def adaptive(train: Section) -> dict[str, int]:
    """``ATSSAssigner`` in ``train_cfg``, as setting ``nearest``."""

    def read(given: Section) -> dict[str, int]:
        given.fixed("alpha")  # of a cost that DDOD adds
        given.fixed("ignore_iof_thr", -1)
        return {"nearest": given.whole("topk")}

    return assigned(train, "ATSSAssigner", read)


def unreduced(head: Section, *names: str) -> None:
    """Losses that a head adds up itself: none has another ``reduction``, which is then taken out."""
    for name in names:
        if head.has(name):
            loss = head.section(name, training=True)
            loss.fixed("reduction", "none")
            values = {**loss.values}
            values.pop("reduction", None)
            head.values = {**head.values, name: values}


def all_anchors(train: Section) -> None:
    """Settings of training where all anchors are learned from, wherever they lie."""
    no_sampler(train)
    train.fixed("allowed_border", -1)
    weights_of_anchors(train)


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
    "adaptive",
    "all_anchors",
    "assigned",
    "border",
    "box_loss",
    "cross_entropy",
    "exponents",
    "focal",
    "known",
    "loss_weight",
    "match",
    "matched",
    "no_sampler",
    "prime_samples",
    "sampler",
    "tried",
    "unreduced",
    "weights_of_anchors",
]
