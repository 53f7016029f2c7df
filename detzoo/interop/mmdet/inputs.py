"""How a picture becomes the network's input: the data preprocessor, and the pipeline of tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.mmdet.section import Section

# of a pipeline: reading and packing, which change no pixel
PASSIVE = (
    *("LoadImageFromFile", "LoadImageFromWebcam", "LoadImageFromNDArray", "LoadAnnotations", "LoadProposals"),
    *("PackDetInputs", "ImageToTensor", "DefaultFormatBundle", "Collect", "ToTensor", "ToDataContainer", "Compose"),
)
# one of a batch's pictures changes with these in training only
_BATCH = ("batch_augments", "pad_mask", "mask_pad_value", "pad_seg", "seg_pad_value", "boxtype2tensor", "non_blocking")


def read_input(config: Section, model: Section) -> Input:
    """The input of a model.

    MMDetection 3 normalizes in ``model.data_preprocessor``, MMDetection 2 in the pipeline of the test data.

    Raises:
        ConfigError: nothing says how pixels are normalized, or a step of the pipeline has no counterpart.
    """
    settings: dict[str, Any] = {"multiple": 1}
    if model.has("data_preprocessor"):
        with model.section("data_preprocessor") as given:
            settings |= _preprocessor(given)
    size: dict[str, Any] = {}
    steps = list(_steps(config))
    for step in steps:
        with step:
            kind = step.kind
            if kind == "Resize":
                size = _resize(step)
            elif kind == "RandomCenterCropPad":
                settings |= _pad_around(step)
            elif kind == "Normalize":
                settings |= _normalize(step)
            elif kind == "Pad":
                settings |= _pad(step, "mean" in settings)
            elif kind == "RandomFlip" or kind in PASSIVE:
                step.ignore(*step.values)  # in tests a flip has probability 0; MultiScaleFlipAug is noted
            else:
                step.differs("type", "is a step of the tests' pipeline that has no counterpart")
    if "mean" not in settings:
        raise ConfigError(
            "nothing says how pixels are normalized: neither model.data_preprocessor nor a Normalize in the pipeline "
            "of the test data (data.test.pipeline)"
        )
    if not steps:
        short, long = Input().short, Input().long
        config.notes.append(f"there is no pipeline of the tests: pictures are resized to {long} x {short} pixels")
    elif not size:
        settings["resize"] = False
    return Input.model_validate(settings | size)


def _preprocessor(given: Section) -> dict[str, Any]:
    given.kinds("DetDataPreprocessor")
    given.ignore(*_BATCH)
    given.fixed("pad_value", 0)
    given.fixed("rgb_to_bgr", False)
    return {
        "order": "rgb" if given.flag("bgr_to_rgb", False) else "bgr",  # files are read as BGR
        "mean": given.numbers("mean", (0.0, 0.0, 0.0), count=3),
        "std": given.numbers("std", (1.0, 1.0, 1.0), count=3),
        "multiple": given.whole("pad_size_divisor", 1),
    }


def _normalize(step: Section) -> dict[str, Any]:
    return {
        "mean": step.numbers("mean", count=3),
        "std": step.numbers("std", count=3),
        "order": "rgb" if step.flag("to_rgb", True) else "bgr",
    }


def _pad(step: Section, normalized: bool) -> dict[str, Any]:
    """Padding at right and bottom to a multiple, with zeros."""
    if not normalized:
        step.differs("type", "comes before Normalize, so that padding is not zero")
    step.fixed("size")
    step.fixed("pad_to_square", False)
    step.fixed("padding_mode", "constant")
    step.fixed("pad_val", 0, {"img": 0, "masks": 0, "seg": 255}, {"img": 0, "masks": 0})
    return {"multiple": step.whole("size_divisor", 1)}


def _resize(step: Section) -> dict[str, Any]:
    """Long and short edge; where the ratio is not kept, width and height. Nothing where the size stays."""
    old = step.has("img_scale")  # MMDetection 2, which keeps the ratio by default
    if not old and not step.has("scale") and step.take("scale_factor", 1.0) == 1.0:
        step.ignore(*step.values)
        return {}
    scale = step.wholes("img_scale" if old else "scale", count=2)
    keep = step.flag("keep_ratio", old)
    for name in ("ratio_range", "scale_factor"):
        step.fixed(name)
    step.fixed("multiscale_mode", "range", "value")
    step.fixed("interpolation", "bilinear")
    step.ignore("backend", "bbox_clip_border", "clip_object_border", "override")  # of annotations, or the same pixels
    if keep:
        return {"long": max(scale), "short": min(scale), "keep_ratio": True}
    return {"long": scale[0], "short": scale[1], "keep_ratio": False}


def _pad_around(step: Section) -> dict[str, Any]:
    """Zeros all around, up to edges that the hourglass takes: the next that are one less than a multiple of 128."""
    step.fixed("test_mode", True)
    step.fixed("test_pad_mode", ("logical_or", 127))
    step.fixed("test_pad_add_pix", 0)
    step.ignore("crop_size", "ratios", "border")  # of training
    step.ignore("mean", "std", "to_rgb", "bbox_clip_border")  # the colour of padding, zero when normalized; of boxes
    return {"multiple": 128, "less": 1}


def _steps(config: Section) -> Iterator[Section]:
    """The steps of the tests' pipeline, with those inside of a test-time augmentation."""
    for step in test_pipeline(config):
        if step.kind == "ProposalBroadcaster":  # the same for given proposals
            yield from step.sections("transforms")
            continue
        if step.kind != "MultiScaleFlipAug":
            yield step
            continue
        with step:
            scales = step.take("img_scale")
            if isinstance(scales, list) and scales and isinstance(scales[0], list | tuple):
                scales = scales if len(scales) > 1 else scales[0]
            for inner in step.sections("transforms"):
                if inner.kind == "Resize" and scales is not None:
                    inner.values = {"img_scale": scales, **inner.values}
                yield inner
            several = isinstance(scales, list) and any(isinstance(one, list | tuple) for one in scales)
            if several:
                step.differs("img_scale", "has several sizes; set the one that pictures are to have")
            step.fixed("scale_factor", 1.0)
            if step.flag("flip", False):
                step.notes.append(f"{step.path}.flip=True: each picture is seen once here, not flipped as well")
            step.ignore("flip_direction")  # see flip


def test_pipeline(config: Section) -> list[Section]:
    """Where a config says what becomes of a picture in a test: of MMDetection 3, of 2, or by the usual name."""
    for owner in ("test_dataloader", "val_dataloader"):
        loader = config.take(owner)
        if isinstance(loader, dict):
            found = _of_dataset(config.section(owner), "dataset")
            if found:
                return found
    data = config.take("data")
    if isinstance(data, dict):
        for split in ("test", "val"):
            found = _of_dataset(config.section("data"), split)
            if found:
                return found
    return config.sections("test_pipeline")


def _of_dataset(owner: Section, name: str, depth: int = 8) -> list[Section]:
    """The pipeline of a data set, or of the first in it where it is made of several."""
    if not owner.has(name) or depth == 0:
        return []
    (dataset, *_) = [*owner.sections(name), None]
    if dataset is None:
        return []
    if dataset.has("pipeline"):
        return dataset.sections("pipeline")
    return _of_dataset(dataset, "dataset", depth - 1) or _of_dataset(dataset, "datasets", depth - 1)


__all__ = ["read_input", "test_pipeline"]
