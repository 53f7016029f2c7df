"""How a picture becomes the network's input: the data preprocessor, and the pipeline of tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from detzoo.config import ConfigError
from detzoo.detector import Input
from detzoo.interop.imported import edges
from detzoo.interop.section import LARGEST, Section
from detzoo.typed import either

LOADING = ("LoadImageFromFile", "LoadImageFromWebcam", "LoadImageFromNDArray")
# of a pipeline: reading and packing, which change no pixel
PASSIVE = (
    *(*LOADING, "LoadAnnotations", "LoadProposals"),
    *("PackDetInputs", "ImageToTensor", "DefaultFormatBundle", "Collect", "ToTensor", "ToDataContainer", "Compose"),
)
# they concern what is learned of a picture, and how it is laid out
_BATCH = ("pad_mask", "mask_pad_value", "pad_seg", "seg_pad_value", "boxtype2tensor", "non_blocking")

Size = tuple[int, int]  # width and height in pixels, as configs say it


@dataclass
class _Picture:
    """A picture on its way through the pipeline of the tests."""

    size: Size | None  # that the caller wants
    later: dict[str, Any] | None  # what the data preprocessor does behind the pipeline
    rgb: bool = False  # the order of its channels; files are read as BGR
    floats: bool = False  # its pixels are no longer whole grey levels
    mean: tuple[float, ...] | None = None  # in the order of the channels, once it is normalized
    std: tuple[float, ...] = ()
    resized: dict[str, Any] | None = None  # settings of `Input`
    multiple: int | None = None  # of padded edges
    less: int = 0

    def flip(self) -> None:
        """Exchange red and blue."""
        self.rgb = not self.rgb
        if self.mean is not None:
            self.mean, self.std = self.mean[::-1], self.std[::-1]


def read_input(config: Section, model: Section, size: Size | None = None) -> tuple[Input, list[str]]:
    """The input of a model, and in what way pictures become another one here than there.

    MMDetection 3 normalizes in ``model.data_preprocessor``, MMDetection 2 in the pipeline of the test data.

    Args:
        config: the whole config.
        model: its model.
        size: width and height that pictures are resized to in place of what the config says.

    Raises:
        ConfigError: nothing says how pixels are normalized, or a step of the pipeline has no counterpart.
    """
    differences: list[str] = []
    picture = _Picture(size, _preprocessor(config, model))
    steps = test_pipeline(config)
    for step, augmented in _flat(steps, size, differences):
        _step(step, picture, augmented, differences)
    settings = _normalized(picture)
    if picture.resized is None and size is None and not steps:
        picture.resized = _usual_size(model, differences)
    elif picture.resized is None and size is not None:
        picture.resized = edges(size, keep_ratio=True)
    settings |= picture.resized or {"resize": False}
    return Input.model_validate(settings), differences


def _preprocessor(config: Section, model: Section) -> dict[str, Any] | None:
    """``data_preprocessor`` of the model, or else the one beside it; None: of MMDetection 2."""
    owner = model if model.has("data_preprocessor") else config
    if not owner.has("data_preprocessor"):
        return None
    with owner.section("data_preprocessor") as given:
        given.kinds("DetDataPreprocessor")
        given.ignore(*_BATCH)
        if given.take("batch_augments"):
            given.noted("batch_augments", "has no counterpart: pictures of a batch become as large as its largest")
        given.fixed("pad_value", 0)
        flips = [given.flag(name, False) for name in ("bgr_to_rgb", "rgb_to_bgr")]
        if all(flips):
            given.differs("rgb_to_bgr", "contradicts bgr_to_rgb")
        return {
            "section": given,
            "flip": any(flips),
            "mean": given.numbers("mean", count=3) if given.has("mean") else None,
            "std": given.numbers("std", (1.0, 1.0, 1.0), count=3),
            "multiple": given.whole("pad_size_divisor", 1),
        }


def _step(step: Section, picture: _Picture, augmented: bool, differences: list[str]) -> None:
    """What a step does to the picture; ``augmented``: it is one of a test-time augmentation."""
    with step:
        kind = step.kind
        if kind in LOADING:
            _load(step, picture)
        elif kind == "Resize":
            _resize(step, picture, differences)
        elif kind == "RandomCenterCropPad":
            _pad_around(step, picture)
        elif kind == "Normalize":
            if picture.mean is not None:
                step.differs("type", "normalizes a second time")
            if step.flag("to_rgb", True):
                picture.flip()
            picture.mean, picture.std = step.numbers("mean", count=3), step.numbers("std", count=3)
            picture.floats = True
        elif kind == "Pad":
            _pad(step, picture)
        elif kind == "RandomFlip":
            chance = step.take("prob", step.take("flip_ratio", 0))
            if not augmented and chance not in (0, 0.0):  # MultiScaleFlipAug says itself what is flipped
                differences.append(f"{step.path}: pictures are never flipped here")
            step.ignore(*step.values)
        elif kind in PASSIVE:
            step.ignore(*step.values)
        else:
            step.differs("type", "is a step of the tests' pipeline that has no counterpart")


def _load(step: Section, picture: _Picture) -> None:
    step.ignore("file_client_args", "backend_args", "ignore_empty")  # where files are
    picture.floats = step.flag("to_float32", False)
    step.fixed("channel_order", "bgr", "rgb")
    picture.rgb = step.take("channel_order") == "rgb"
    if step.word("color_type", "color") == "color_ignore_orientation":
        step.differs(
            "color_type",
            "has no counterpart: pictures are turned upright by their EXIF orientation here; "
            "leave it out if yours have none",
        )
    step.fixed("color_type", "color")
    if step.take("imdecode_backend") == "turbojpeg":
        step.differs(
            "imdecode_backend",
            "has no counterpart: it does not turn pictures upright by their EXIF orientation; "
            "leave it out if yours have none",
        )
    step.fixed("imdecode_backend", "cv2", "pillow")


def _resize(step: Section, picture: _Picture, differences: list[str]) -> None:
    """Long and short edge; where the ratio is not kept, width and height. Nothing where the size stays."""
    step.fixed("multiscale_mode", "range", "value")
    step.ignore("bbox_clip_border", "clip_object_border", "override")  # of annotations; see `_augmented`
    step.fixed("backend", "cv2", "pillow")
    if step.take("backend") == "pillow":
        step.fixed("interpolation", "bilinear")
    step.fixed("interpolation", "bilinear", "bicubic")
    old = step.has("img_scale")  # MMDetection 2, which keeps the ratio by default
    if not old and not step.has("scale") and step.take("scale_factor", 1.0) == 1.0:
        step.ignore(*step.values)
        return
    keep = step.flag("keep_ratio", old)
    for name in ("ratio_range", "scale_factor"):
        step.fixed(name)
    if picture.resized is not None:
        step.differs("type", "resizes a second time")
    if picture.multiple is not None:
        step.differs("type", "comes after padding")
    scale = _scale(step, "img_scale" if old else "scale", picture.size)
    picture.resized = edges(scale, keep)
    if step.take("interpolation") == "bicubic":
        picture.resized["interpolation"] = "bicubic"
    if picture.floats:
        differences.append(f"{step.path}: resized pixels are rounded to whole grey levels here, and are not there")
    if step.take("backend") == "pillow":
        differences.append(f"{step.path}: Pillow smooths pictures that become smaller; here, as in OpenCV, none are")


def _scale(step: Section, name: str, wanted: Size | None) -> Size:
    """Width and height of a ``Resize``: one size, or the only one of a list, or an edge of a square."""
    if wanted is not None:
        step.ignore(name)
        return wanted
    given = step.take(name)
    if isinstance(given, list | tuple) and any(isinstance(one, list | tuple) for one in given):
        if len(given) > 1:
            step.differs(name, f"has several sizes; {_which()}")
        step.values = {**step.values, name: next(iter(given))}
    elif not isinstance(given, list | tuple):
        edge = step.whole(name)
        return edge, edge
    width, height = step.wholes(name, count=2)
    return width, height


def _which() -> str:
    return f"pass the one that pictures are to have, for example {either('size=(1333, 800)', '--size 1333 800')}"


def _pad(step: Section, picture: _Picture) -> None:
    """Padding at right and bottom with zeros: to a multiple, or to one size that every picture fits into."""
    step.fixed("padding_mode", "constant")
    given = step.take("pad_val", 0)
    value = given.get("img", 0) if isinstance(given, dict) else given
    if picture.mean is None and picture.later is None:
        step.differs("type", "comes before Normalize, so that padding is not zero")
    zero = [0.0] * 3
    if picture.mean is None and picture.later is not None:  # it becomes zero later
        mean = picture.later["mean"] or zero
        zero = list(reversed(mean)) if picture.later["flip"] else list(mean)
    if list(value if isinstance(value, list | tuple) else [value] * 3) != zero:
        step.differs("pad_val", f"has no counterpart: padding is zero here once it is normalized; {zero} would be")
    picture.multiple = _canvas(step, picture.resized)


def _canvas(step: Section, resized: dict[str, Any] | None) -> int:
    """What the edges of a padded picture are multiples of."""
    square, divisor = step.flag("pad_to_square", False), step.whole("size_divisor", 1)
    if not square and not step.has("size"):
        return divisor
    long, short = (resized["long"], resized["short"]) if resized else (0, 0)
    size = (long if long == short else 0,) * 2 if square else step.wholes("size", count=2)
    if resized and not resized["keep_ratio"] and size in ((long, short), (short, long)):
        return divisor  # pictures have that size already
    name = "pad_to_square" if square else "size"
    if size[0] != size[1] or not 0 < long <= size[0]:
        step.differs(name, "has no counterpart; a square that every resized picture fits into has")
    return _common(step, name, divisor, size[0])


def _common(step: Section, name: str, one: int, other: int) -> int:
    """The larger of two numbers of which one is a multiple of the other."""
    small, large = sorted((max(one, 1), max(other, 1)))
    if large % small:
        step.differs(name, f"pads to multiples of {one} and of {other}, which has no counterpart")
    return large


def _pad_around(step: Section, picture: _Picture) -> None:
    """Zeros all around, up to edges that the hourglass takes: the next that are one less than a multiple of 128."""
    step.fixed("test_mode", True)
    step.fixed("test_pad_mode", ("logical_or", 127))
    step.fixed("test_pad_add_pix", 0)
    step.ignore("crop_size", "ratios", "border")  # of training
    step.ignore("mean", "std", "to_rgb", "bbox_clip_border")  # the colour of padding, zero when normalized; of boxes
    picture.multiple, picture.less = 128, 1


def _normalized(picture: _Picture) -> dict[str, Any]:
    """Settings of `Input` for colours and the canvas: what the pipeline did, and then the data preprocessor."""
    later = picture.later
    if later is not None:
        if later["flip"]:
            picture.flip()
        if later["mean"] is not None and picture.mean is not None:
            later["section"].differs("mean", "normalizes a second time, after Normalize in the pipeline of the tests")
        if picture.mean is None:
            picture.mean, picture.std = later["mean"] or (0.0, 0.0, 0.0), later["std"]
        many = later["multiple"]
        if picture.less and many > 1:
            later["section"].differs("pad_size_divisor", "has no counterpart beside RandomCenterCropPad; 1 has")
        before = picture.multiple
        picture.multiple = many if before is None else _common(later["section"], "pad_size_divisor", many, before)
    if picture.mean is None:
        raise ConfigError(
            "nothing says how pixels are normalized: neither model.data_preprocessor nor a Normalize in the pipeline "
            "of the test data (data.test.pipeline)"
        )
    return {
        "order": "rgb" if picture.rgb else "bgr",
        "mean": picture.mean,
        "std": picture.std,
        "multiple": picture.multiple or 1,
        "less": picture.less,
    }


def _usual_size(model: Section, differences: list[str]) -> dict[str, Any]:
    """Without a pipeline: the size that an SSD names itself, or else the one that is usual."""
    head, backbone = (model.values.get(name) for name in ("bbox_head", "backbone"))
    boxes = head.get("anchor_generator") if isinstance(head, dict) else None
    for owner in (boxes, backbone):
        size = owner.get("input_size") if isinstance(owner, dict) else None
        if model.kind == "SingleStageDetector" and isinstance(size, int) and 0 < size <= LARGEST:
            differences.append(f"there is no pipeline of the tests: pictures are resized to {size} x {size} pixels")
            return edges((size, size), keep_ratio=False)
    long, short = Input().long, Input().short
    differences.append(f"there is no pipeline of the tests: pictures are resized to {long} x {short} pixels")
    return edges((long, short), keep_ratio=True)


def _flat(steps: list[Section], size: Size | None, differences: list[str]) -> Iterator[tuple[Section, bool]]:
    """The steps of a pipeline with those inside of others, and whether they are of a test-time augmentation."""
    for step in steps:
        if step.kind in ("ProposalBroadcaster", "Compose"):  # the same for given proposals
            yield from _flat(step.sections("transforms"), size, differences)
        elif step.kind == "MultiScaleFlipAug":
            for inner in _augmented(step, size, differences):
                yield inner, True
        else:
            yield step, False


def _augmented(step: Section, size: Size | None, differences: list[str]) -> Iterator[Section]:
    """The steps in a ``MultiScaleFlipAug``, whose ``img_scale`` is that of a ``Resize`` in it."""
    with step:
        scales = step.take("img_scale")
        if size is not None:
            scales = list(size)
            step.ignore("scale_factor")
        elif isinstance(scales, list | tuple) and len(scales) > 1 and isinstance(scales[0], list | tuple):
            step.differs("img_scale", f"has several sizes; {_which()}")
        elif isinstance(step.take("scale_factor"), list | tuple):
            step.differs("scale_factor", f"has several sizes; {_which()}")
        if size is None:
            step.fixed("scale_factor", 1.0)
        if step.flag("flip", False):
            differences.append(f"{step.path}.flip=True: each picture is seen once here, not flipped as well")
        step.ignore("flip_direction")  # see flip
        for inner in step.sections("transforms"):
            # an overriding Resize takes its own size, where it has one
            if inner.kind == "Resize" and not (inner.values.get("override") is True and inner.has("img_scale")):
                unused = ("img_scale", "ratio_range", "multiscale_mode")
                kept = {name: value for name, value in inner.values.items() if name not in unused}
                inner.values = kept if scales is None else {**kept, "img_scale": scales}
            yield inner


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
    (dataset, *_) = [*owner.nested(name), None]
    if dataset is None:
        return []
    if dataset.has("pipeline"):
        return dataset.sections("pipeline")
    return _of_dataset(dataset, "dataset", depth - 1) or _of_dataset(dataset, "datasets", depth - 1)


__all__ = ["LOADING", "PASSIVE", "Size", "read_input", "test_pipeline"]
