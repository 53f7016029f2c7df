"""What a training pipeline does to its pictures. What has no counterpart becomes a note."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.mmdet.inputs import PASSIVE
from detzoo.interop.section import Section
from detzoo.recipes.augment import (
    Albu,
    CenterCropPad,
    Choice,
    Crop,
    Distort,
    Expand,
    Flip,
    InstaBoost,
    IoUCrop,
    Resize,
    Shift,
    Simple,
    Step,
)

_RESIZES = ("Resize", "RandomResize", "RandomChoiceResize")
# sequences of which one is taken, and where they stand: of MMDetection 3 and 2
_CHOICES = {"RandomChoice": "transforms", "AutoAugment": "policies"}
_CROPS = {"absolute": "pixels", "absolute_range": "pixels_range", "relative": "part", "relative_range": "part_range"}


def read_augment(owners: Sequence[Section], input: Input) -> dict[str, Any]:
    """``pipeline`` of the training data as settings of `Data`: ``augment``, sizes, ``flip``, ``masks`` and ``min_box``.

    ``owners`` are the data set and the wrappers around it, whose pipelines come one after the other.
    The sizes of the last resize are those of the data, and a resize to them or to the model's input has none of its
    own.

    Raises:
        ConfigError: a setting is malformed.
    """
    settings: dict[str, Any] = {"flip": 0.0, "masks": False}
    steps: list[Step] = []
    for step in _flat([step for owner in owners for step in owner.sections("pipeline")]):
        if step.kind == "FilterAnnotations" and not steps:  # in pixels of the file
            settings["min_box"] = _least(step)
        else:
            steps += _step(step, settings)
    resizes = [one for one in _all(steps) if isinstance(one, Resize) and one.keep_ratio == input.keep_ratio]
    main = resizes[-1] if resizes and resizes[-1].jitter is None else None
    if main is not None and (main.sizes, main.mode) != (((input.short, input.long),), "choice"):
        settings |= {"sizes": main.sizes, "size_mode": main.mode}
    settings["augment"] = tuple(_shortened(step, main, input.keep_ratio) for step in steps)
    return settings


def _least(step: Section) -> float:
    """Pixels that boxes have at least in width and height."""
    with step:
        wide, high = step.numbers("min_gt_bbox_wh", (1, 1), count=2)
        if wide != high:
            step.differs("min_gt_bbox_wh", "has no counterpart; the same for both has")
        step.fixed("min_gt_mask_area", 0, 1)
        step.fixed("by_box", True)
        step.fixed("by_mask", False)
        step.ignore("keep_empty")  # of pictures that are then left without objects
        return min(wide, high)


def _flat(steps: list[Section]) -> Iterator[Section]:
    """Steps, with those that are done to given proposals as well."""
    for step in steps:
        yield from _flat(step.sections("transforms")) if step.kind == "ProposalBroadcaster" else (step,)


def _all(steps: list[Step]) -> Iterator[Simple]:
    for step in steps:
        yield from (one for option in step.options for one in option) if isinstance(step, Choice) else (step,)


def _shortened(step: Step, main: Resize | None, keep_ratio: bool) -> Step:
    """The step, where resizes like ``main`` have no sizes of their own, and say only what the input does not."""
    if isinstance(step, Choice):
        options = (tuple(_shortened(one, main, keep_ratio) for one in option) for option in step.options)
        return Choice.model_validate({"options": tuple(options)})
    if not isinstance(step, Resize):
        return step
    return Resize() if step == main else step.replace(keep_ratio=None) if step.keep_ratio == keep_ratio else step


def _step(step: Section, settings: dict[str, Any]) -> Iterator[Step]:
    """Our step; none where it changes no picture or has no counterpart."""
    kind = step.kind
    if kind == "LoadAnnotations":
        settings["masks"] = step.flag("with_mask", False)
    elif kind == "RandomFlip":
        yield from _flip(step, settings)
    elif kind in _RESIZES:
        yield from _resize(step, kind)
    elif kind in _CHOICES:
        step.fixed("prob")
        sequences = step.each(_CHOICES[kind], Section.sections)
        options = [tuple(one for inner in option for one in _step(inner, settings)) for option in sequences]
        yield Choice.model_validate({"options": options})
    elif kind in _STEPS:
        with step:
            yield _STEPS[kind](step)
    elif kind not in (*PASSIVE, "Normalize", "Pad", "SegRescale"):  # class maps are compared at the head's size
        step.differs("type", "has no counterpart")


def _flip(step: Section, settings: dict[str, Any]) -> Iterator[Flip]:
    """The left-right part of a flip; one that cannot be read is the usual one, so that the rest of the data is read."""
    try:
        share = _left_right(step)
    except ConfigError as error:
        step.notes.append(f"{error}; flips are the usual ones")
        share = 0.5
    if share is None:
        return
    if settings["flip"] in (0.0, share):
        settings["flip"] = share
        yield Flip()
    else:  # the setting is that of an earlier flip
        yield Flip(probability=share)


def _left_right(step: Section) -> float | None:
    """How often a picture is flipped left to right; None: never, as it is flipped in other directions.

    Raises:
        ConfigError: a setting is malformed.
    """
    name = "prob" if step.has("prob") else "flip_ratio"
    given = step.take("direction", "horizontal")
    ways = given if isinstance(given, list | tuple) and given else [given]
    if isinstance(step.take(name), list | tuple):
        chances = step.numbers(name, count=len(ways))
    else:
        chances = [step.number(name, 0.5) / len(ways)] * len(ways)  # it is shared out evenly
    if min(chances) < 0.0 or sum(chances) > 1.0:
        raise ConfigError(f"{step.path}.{name} is no probability")
    if any(way != "horizontal" for way in ways):
        step.noted("direction", "has no counterpart but for flips from left to right")
    shares = [chance for chance, way in zip(chances, ways, strict=True) if way == "horizontal"]
    return sum(shares) if shares else None


def _resize(step: Section, kind: str) -> Iterator[Resize]:
    """Sizes as (short, long); without a kept ratio as (height, width)."""
    old = step.has("img_scale")
    name = "img_scale" if old else "scales" if step.has("scales") else "scale"
    given = step.take(name, ())
    if not isinstance(given, list | tuple) or not given:
        step.differs(name, "is no size")
        return
    several = isinstance(given[0], list | tuple)
    sizes = step.each(name, _size) if several else (_size(step, name),)
    keep = step.flag("keep_ratio", old or kind != "Resize")
    ordered = tuple((min(one), max(one)) if keep else (one[1], one[0]) for one in sizes)
    by_range = kind == "RandomResize" or (kind == "Resize" and step.word("multiscale_mode", "range") == "range")
    yield Resize.model_validate(
        {
            "sizes": ordered,
            "mode": "range" if by_range and len(ordered) == 2 else "choice",
            "keep_ratio": keep,
            "jitter": step.numbers("ratio_range", count=2) if step.has("ratio_range") else None,
        }
    )


def _size(given: Section, at: str) -> tuple[int, ...]:
    return given.wholes(at, count=2)


def _distort(step: Section) -> Distort:
    return Distort.model_validate(
        {
            "brightness": step.number("brightness_delta", 32),
            "contrast": step.numbers("contrast_range", (0.5, 1.5), count=2),
            "saturation": step.numbers("saturation_range", (0.5, 1.5), count=2),
            "hue": step.number("hue_delta", 18),
        }
    )


def _expand(step: Section) -> Expand:
    step.ignore("mean", "to_rgb", "seg_ignore_label")  # the canvas has the input's mean colour
    ratio = step.numbers("ratio_range", (1, 4), count=2)
    return Expand.model_validate({"ratio": ratio, "probability": step.number("prob", 0.5)})


def _iou_crop(step: Section) -> IoUCrop:
    step.fixed("bbox_clip_border", True)
    ious = step.numbers("min_ious", (0.1, 0.3, 0.5, 0.7, 0.9))
    return IoUCrop(min_ious=ious, min_edge=step.number("min_crop_size", 0.3))


def _crop(step: Section) -> Crop:
    step.fixed("bbox_clip_border", True)
    step.fixed("recompute_bbox", False)
    kind = step.word("crop_type", "absolute")
    if kind not in _CROPS:
        step.differs("crop_type", f"has no counterpart; {' and '.join(_CROPS)} have")
    size = step.numbers("crop_size", count=2)
    settings = {"size": size, "mode": _CROPS.get(kind, "pixels")}
    return Crop.model_validate({**settings, "allow_empty": step.flag("allow_negative_crop", False)})


def _center_crop_pad(step: Section) -> CenterCropPad:
    step.fixed("test_mode", False)
    step.fixed("bbox_clip_border", True)
    step.ignore("test_pad_mode", "test_pad_add_pix")  # of tests
    step.ignore("mean", "std", "to_rgb")  # padding has the input's mean colour
    return CenterCropPad.model_validate(
        {
            "size": step.wholes("crop_size", count=2),
            "ratios": step.numbers("ratios", (0.9, 1.0, 1.1)),
            "border": step.whole("border", 128),
        }
    )


def _shift(step: Section) -> Shift:
    chance = step.number("prob" if step.has("prob") else "shift_ratio", 0.5)
    least = step.number("filter_thr_px", 1)
    return Shift(most=step.whole("max_shift_px", 32), probability=chance, min_box=least)


def _albu(step: Section) -> Albu:
    _unbuilt(step)
    return Albu(transforms=tuple(_names(step)))


def _names(step: Section) -> Iterator[str]:
    """Of the transforms that a step is made of."""
    for inner in step.sections("transforms"):
        yield from _names(inner) if inner.has("transforms") else (inner.kind,)


def _instaboost(step: Section) -> InstaBoost:
    _unbuilt(step)
    return InstaBoost()


def _unbuilt(step: Section) -> None:
    step.noted("type", "is not built here: training is refused until data.augment is set without it")
    step.ignore(*step.values)


_STEPS: dict[str, Callable[[Section], Simple]] = {
    "Albu": _albu,
    "InstaBoost": _instaboost,
    "PhotoMetricDistortion": _distort,
    "Expand": _expand,
    "MinIoURandomCrop": _iou_crop,
    "RandomCrop": _crop,
    "RandomCenterCropPad": _center_crop_pad,
    "RandomShift": _shift,
}

__all__ = ["read_augment"]
