"""Settings of what is done to a training picture, one class per step; `detzoo.data.augment` does it.

Sizes are height and width in pixels, as everywhere, or short and long edge where a step keeps the aspect ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from detzoo.config import Config, ConfigError

Probability = Annotated[float, Field(ge=0, le=1)]
Range = tuple[float, float]  # from the least to the greatest, both included


def _rising(name: str, span: Range, least: float = 0.0) -> None:
    if not least <= span[0] <= span[1]:
        raise ValueError(f"{name} must rise from {least:g} or more, got {span}")


class Resize(Config):
    """Bilinear resizing. With no sizes of its own it takes those of `Data.sizes`, or else of the model's input."""

    kind: Literal["resize"] = "resize"
    sizes: tuple[tuple[int, int], ...] = ()  # (short, long) pixels; without `keep_ratio` (height, width)
    mode: Literal["choice", "range"] = "choice"  # one of `sizes`, or each edge uniform between the first and last
    jitter: Range | None = None  # both edges are multiplied by one number drawn from here
    keep_ratio: bool | None = None  # None: as the model's input

    @model_validator(mode="after")
    def _fits(self) -> Resize:
        if any(edge < 1 for size in self.sizes for edge in size):
            raise ValueError(f"sizes must be at least one pixel, got {self.sizes}")
        if self.jitter is not None:
            _rising("jitter", self.jitter)
            if not self.jitter[0]:
                raise ValueError("jitter must be above 0")
        return self


class Flip(Config):
    """A left-right flip."""

    kind: Literal["flip"] = "flip"
    probability: Probability | None = None  # None: `Data.flip`


class Distort(Config):
    """Random brightness, contrast, saturation, hue and order of channels, each with probability 0.5.

    As SSD (arXiv:1512.02325, section 2.2) is trained. Contrast comes first or last, by chance.
    """

    kind: Literal["distort"] = "distort"
    brightness: float = Field(default=32.0, ge=0)  # grey levels, at most, added or taken away
    contrast: Range = (0.5, 1.5)  # factor of all channels
    saturation: Range = (0.5, 1.5)  # factor of the saturation
    hue: float = Field(default=18.0, ge=0, le=180)  # degrees, at most, to either side

    @model_validator(mode="after")
    def _fits(self) -> Distort:
        _rising("contrast", self.contrast)
        _rising("saturation", self.saturation)
        return self


class Expand(Config):
    """The picture somewhere on a larger canvas filled with the input's mean colour (SSD, arXiv:1512.02325)."""

    kind: Literal["expand"] = "expand"
    ratio: Range = (1.0, 4.0)  # edges of the canvas over edges of the picture
    probability: Probability = 0.5

    @model_validator(mode="after")
    def _fits(self) -> Expand:
        _rising("ratio", self.ratio, 1.0)
        return self


class IoUCrop(Config):
    """A crop that every object overlaps by at least some IoU drawn anew each time (SSD, arXiv:1512.02325, section 2.2).

    The IoU is one of ``min_ious``, or 0, or the picture stays whole, all equally likely. Objects whose centre is cut
    off are left out. Edges are at least ``min_edge`` of the picture's, and no more than 2 to 1.
    """

    kind: Literal["iou_crop"] = "iou_crop"
    min_ious: tuple[Probability, ...] = (0.1, 0.3, 0.5, 0.7, 0.9)
    min_edge: float = Field(default=0.3, gt=0, le=1)


class Crop(Config):
    """A crop anywhere that holds part of an object to be learned; a smaller picture stays as it is."""

    kind: Literal["crop"] = "crop"
    size: Range = (640.0, 640.0)  # see `mode`
    # pixels: height and width; pixels_range: each edge is drawn between the two numbers of pixels; part: height and
    # width as parts of the picture's; part_range: each drawn between that part and 1
    mode: Literal["pixels", "pixels_range", "part", "part_range"] = "pixels"
    allow_empty: bool = False  # a crop without any object is good too

    @model_validator(mode="after")
    def _fits(self) -> Crop:
        if self.mode.startswith("part"):
            if not all(0 < edge <= 1 for edge in self.size):
                raise ValueError(f"parts must be above 0 and at most 1, got {self.size}")
        elif any(edge < 1 or edge != int(edge) for edge in self.size):
            raise ValueError(f"pixels must be whole numbers from 1, got {self.size}")
        if self.mode == "pixels_range":
            _rising("size", self.size)
        return self


class CenterCropPad(Config):
    """A window around a random centre, filled with the input's mean colour where it leaves the picture (CornerNet).

    arXiv:1808.01244, section 4.1, as its code does it: the window is one of ``ratios`` times ``size``, its centre lies
    at least ``border`` pixels inside the picture (half of that, a quarter, ... in a small one), and at least one object
    has its centre in the window; objects with their centre outside are left out.
    """

    kind: Literal["center_crop_pad"] = "center_crop_pad"
    size: tuple[int, int] = (511, 511)  # height and width at ratio 1, pixels
    ratios: tuple[Annotated[float, Field(gt=0)], ...] = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
    border: int = Field(default=128, ge=0)  # pixels

    @model_validator(mode="after")
    def _fits(self) -> CenterCropPad:
        if not self.ratios or any(int(edge * ratio) < 2 for edge in self.size for ratio in self.ratios):
            raise ValueError(f"windows must be at least 2 pixels, got size {self.size} and ratios {self.ratios}")
        return self


class Shift(Config):
    """The picture moved within its frame, black where nothing is left (YOLOF, arXiv:2103.09460, section 4.2)."""

    kind: Literal["shift"] = "shift"
    most: int = Field(default=32, ge=0)  # pixels, in either direction
    probability: Probability = 0.5
    min_box: float = Field(default=1.0, ge=0)  # pixels: objects no wider or no higher than this are left out


class Mixup(Config):
    """Two pictures, top left corners on each other, added up by shares of 1 (arXiv:1710.09412, arXiv:1902.04103).

    It can only come first. Where just one reaches, the other's share is black. The objects of both are learned; to a
    method that looks at `Targets.shares` each counts as much as its picture does.
    """

    kind: Literal["mixup"] = "mixup"
    beta: float = Field(default=1.5, gt=0)  # both parameters of the beta distribution of a share: 1 is any, alike
    epochs: int | None = Field(default=None, ge=0)  # of a run, that mix; None: all


class Albu(Config):
    """Steps of the Albumentations library (arXiv:1809.06839), by name. They are not built: training is refused."""

    kind: Literal["albu"] = "albu"
    transforms: tuple[str, ...] = ()


class InstaBoost(Config):
    """Objects cut out and pasted back nearby (InstaBoost, arXiv:1908.07801). It is not built: training is refused."""

    kind: Literal["instaboost"] = "instaboost"


Unbuilt = Albu | InstaBoost
Simple = Resize | Flip | Distort | Expand | IoUCrop | Crop | CenterCropPad | Shift | Mixup | Unbuilt
SimpleStep = Annotated[Simple, Field(discriminator="kind")]


class Choice(Config):
    """One of several sequences of steps, all equally likely."""

    kind: Literal["choice"] = "choice"
    options: tuple[tuple[SimpleStep, ...], ...] = Field(min_length=1)


Step = Annotated[Simple | Choice, Field(discriminator="kind")]


def plain_steps(steps: Iterable[Step]) -> Iterator[Simple]:
    """Every step that may be taken, those of all options of a choice among them."""
    for step in steps:
        if isinstance(step, Choice):
            for option in step.options:
                yield from option
        else:
            yield step


def refuse_unbuilt(steps: Iterable[Step]) -> None:
    """Refuse to train with steps that only have a name here.

    Raises:
        ConfigError: there is one.
    """
    for step in plain_steps(steps):
        if isinstance(step, Unbuilt):
            names = f" ({', '.join(step.transforms)})" if isinstance(step, Albu) and step.transforms else ""
            raise ConfigError(
                f"data.augment has {step.kind}{names}, which is not built here, so that training would not be as "
                'published; to train without it, set data.augment=[{"kind":"resize"},{"kind":"flip"}]'
            )
