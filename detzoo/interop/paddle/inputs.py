"""How a picture becomes the network's input: the readers of tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from detzoo.detector import Input
from detzoo.interop.imported import edges
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section

_READERS = ("EvalReader", "TestReader")
# which change no pixel of a test's picture: reading, packing, and the ground truth
_PASSIVE = ("Decode", "Permute", "NormalizeBox", "PadBox", "BboxXYXY2XYWH", "PadGT", "Gt2YoloTarget", "PadBatchSingle")
_UNSCALED: dict[str, Any] = {"mean": (0.0,) * 3, "std": (1.0,) * 3}  # where no step says another
_LINEAR, _CUBIC = 1, 2  # how OpenCV is told to resize
_FACES: dict[str, Any] = {"resize": False, "multiple": 1, "std": (127.502231,) * 3}
_GUESSES: dict[str, dict[str, Any]] = {
    "YOLOv3": {"short": 608, "long": 608, "keep_ratio": False, "multiple": 1, "interpolation": "bicubic"},
    "SSD": {
        **{"short": 300, "long": 300, "keep_ratio": False, "multiple": 1},
        **{"mean": (104.0, 117.0, 123.0), "std": (1.0, 1.0, 1.0)},
    },
    "BlazeFace": {**_FACES, "mean": (123.0, 117.0, 104.0)},
    "FaceBoxes": {**_FACES, "order": "bgr", "mean": (104.0, 117.0, 123.0)},
}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_input(parts: Parts, size: tuple[int, int] | None = None) -> tuple[Input, list[str]]:
    """The input of a model, and in what way pictures become another one here than there.

    Args:
        parts: the config.
        size: width and height that pictures are resized to in place of what the config says.

    Raises:
        ConfigError: a step that changes pixels is not known.
    """
    reader = next((name for name in _READERS if _has_steps(parts.top, name)), None)
    if reader is None:
        found = _GUESSES.get(parts.architecture, {}) | ({"resize": True, **edges(size)} if size else {})
        guess = Input.model_validate(found)
        pixels = f"{guess.short} pixels are" if guess.resize else "their own size is"
        return guess, [f"no reader says how pictures become the input, so that {pixels} a guess"]
    settings: dict[str, Any] = {"resize": False, "multiple": 1}
    differences: list[str] = []
    for step in _steps(parts.top.section(reader)):
        with step:
            _take(step, settings, differences, parts.static, size)
    if size is not None:
        settings |= {"resize": True, **edges(size, settings.get("keep_ratio", True))}
    if not settings["resize"]:
        settings.pop("interpolation", None)
    return Input.model_validate(_UNSCALED | settings), differences


def _has_steps(top: Section, name: str) -> bool:
    reader = top.take(name, {})
    return isinstance(reader, dict) and bool(reader.get("sample_transforms"))


def _steps(reader: Section) -> Iterator[Section]:
    """The steps of a reader, written ``- Resize: {...}`` or, in static releases, ``- !ResizeImage {...}``."""
    for name in ("sample_transforms", "batch_transforms"):
        listed = reader.take(name, [])
        if not isinstance(listed, list):
            reader.differs(name, "is no list of steps")
        for number, step in enumerate(listed):
            if isinstance(step, dict) and "type" not in step and len(step) == 1:
                ((kind, values),) = step.items()
                step = {**(values if isinstance(values, dict) else {}), "type": kind}
            yield Section(step, f"{reader.path}.{name}.{number}", reader.notes)


def _take(
    step: Section, settings: dict[str, Any], differences: list[str], static: bool, size: tuple[int, int] | None
) -> None:
    kind = step.kind
    if kind == "DecodeImage":
        if not step.flag("to_rgb", True):
            settings["order"] = "bgr"
        step.ignore("with_mixup", "with_cutmix")  # of training
    elif kind == "Resize":
        _resize(step, settings, step.flag("keep_ratio", True), None, size)
    elif kind == "MultiscaleTestResize":
        origin: dict[str, Any] = {"target_size": 800, "max_size": 1333} if static else {"target_size": [800, 1333]}
        views = {name: step.take(f"origin_{name}", value) for name, value in origin.items()}
        step.ignore("target_size", "max_size", "use_flip")  # of the other views
        differences.append("there they are merged of several sizes of a picture, here where you ask for it")
        of_one = Section({**views, "interp": step.take("interp"), "type": kind}, step.path, step.notes)
        _resize(of_one, settings, True, of_one.whole("max_size", 0) if static else None, size)
    elif kind == "ResizeImage":
        most = step.whole("max_size", 0)
        _resize(step, settings, most > 0, most, size)
        if not step.flag("use_cv2", True):
            differences.append("pictures are resized with Pillow there")
        if "mean" in settings:
            differences.append("pictures are resized as floats there, here as whole grey levels")
    elif kind == "NormalizeImage":
        step.ignore("is_channel_first")  # of the array
        step.fixed("norm_type", "mean_std")
        levels = 255.0 if step.flag("is_scale", True) else 1.0
        for name, usual in (("mean", _MEAN), ("std", _STD)):
            # as they are written in grey levels: without the last digits of a product
            settings[name] = tuple(round(levels * value, 6) for value in step.numbers(name, usual, count=3))
        if not step.has("std"):
            step.differs("std", "is missing, which is 1 in some releases and ImageNet's in others")
        if min(settings["std"]) <= 0:
            step.differs("std", "must be positive numbers")
    elif kind in ("PadBatch", "PadMultiScaleTest"):
        stride = step.whole("pad_to_stride", 0)
        settings["multiple"] = max(1, stride)
        step.ignore("pad_gt", "use_padded_im_info")  # of training; readers of static models know the second
    elif kind == "Permute":
        if step.flag("to_bgr", static):  # it turns the colours around, and those that were normalized before
            settings["order"] = "rgb" if settings.get("order") == "bgr" else "bgr"
            settings |= {name: settings[name][::-1] for name in ("mean", "std") if name in settings}
        step.ignore("channel_first")  # of the array
    elif kind in _PASSIVE:
        step.ignore(*step.values)
    else:
        step.differs("type", "has no counterpart")


def _resize(
    step: Section, settings: dict[str, Any], keep_ratio: bool, most: int | None, size: tuple[int, int] | None
) -> None:
    """Sizes, and how pixels are interpolated; ``most``: of the long edge, where the size is that of the short one.

    What a caller's ``size`` is in place of is not read.
    """
    given = step.take("target_size")
    if size is not None:
        width, height = size
    elif isinstance(given, list | tuple) and most is None:
        height, width = step.wholes("target_size", count=2)
    elif isinstance(given, list | tuple) and len(given) != 1:
        return step.differs("target_size", "are several; pass size=")
    else:
        height = width = step.wholes("target_size")[0] if isinstance(given, list | tuple) else step.whole("target_size")
        width, height = (most, min(height, most)) if most else (width, height)
    settings |= {"resize": True, **edges((width, height), keep_ratio)}
    kind = step.whole("interp", _LINEAR)
    if kind not in (_LINEAR, _CUBIC):
        step.differs("interp", "has no counterpart; 1 and 2 have")
    settings["interpolation"] = "bicubic" if kind == _CUBIC else "bilinear"


__all__ = ["read_input"]
