"""`Detector`: what every method is, and the settings that all methods share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from detzoo.config import Config
from detzoo.precision import Precision, always_full, is_half
from detzoo.tta import TTA
from detzoo.types import Detections, Images, Targets

if TYPE_CHECKING:
    from pathlib import Path


class Input(Config):
    """How a picture becomes the network's input."""

    resize: bool = True  # False: a picture keeps its size; `short`, `long` and `keep_ratio` are not used
    short: int = Field(default=800, ge=1)  # pixels of the short edge after resizing
    long: int = Field(default=1333, ge=1)  # upper bound of the long edge
    keep_ratio: bool = True  # False: exactly short (height) x long (width)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"  # of a resized picture; both smooth nothing
    multiple: int = Field(default=32, ge=1)  # edges of the canvas, plus `less`, are multiples of this
    canvas: tuple[int, int] | None = (
        None  # height, width of every input, which a picture is fitted into; None: as above
    )
    less: int = Field(default=0, ge=0)  # pixels; with a multiple of 128, 1 makes edges of 127, 255, 383, 511, ...
    order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)  # grey levels, in `order`
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (58.395, 57.12, 57.375)


class DetectorConfig(Config):
    """Settings that every method has. ``method`` names the class in JSON."""

    input: Input = Input()

    @property
    def learns_class_maps(self) -> bool:
        """Whether training needs the class of every pixel, ``Targets.semantic``."""
        return False


def _channels_last(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that afterwards stores the weights of convolutions channels-last.

    A convolution with such weights gives such features, so everything behind it is channels-last, too: convolutions
    are then up to a third faster on CPUs, and on GPUs with tensor cores. Shapes and values stay the same.
    """

    @functools.wraps(init)
    def build(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] (torch's stubs lack this overload)

    return build


class Detector(nn.Module):
    """A detection method: settings and class names in, a trainable and callable network out.

    A method defines a nested ``Config``, `forward` (losses) and `detect` (results) and lists in ``published_names`` how
    its parameters are called in published weights. ``recipe`` is what it was built from; a saved file carries it along.
    """

    config: DetectorConfig
    pixel_mean: Tensor
    pixel_std: Tensor
    recipe: Config | None = None
    # published name -> ours, as (regular expression, replacement) pairs tried in order; the first that matches wins
    published_names: ClassVar[tuple[tuple[str, str], ...]] = ()
    unpublished: ClassVar[tuple[str, ...]] = ()  # what buffers begin with that published weights do not have
    finds_classes: ClassVar[bool] = True  # False: what it finds are boxes of any class, measured by their recall
    learns_masks: ClassVar[bool] = False  # True: training needs masks of the objects
    takes_proposals: ClassVar[bool] = False  # True: ``detect`` and training are given the boxes to look at

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have every method end its construction with the weights laid out for speed; see `_channels_last`."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _channels_last(cls.__init__)

    def __init__(self, config: DetectorConfig, classes: Sequence[str]) -> None:
        super().__init__()
        self.config = config
        self.classes = tuple(classes)
        if not self.classes:
            raise ValueError("a detector needs at least one class name")
        order = slice(None, None, -1) if config.input.order == "bgr" else slice(None)
        # held in RGB order, applied before the swap
        self.register_buffer("pixel_mean", torch.tensor(config.input.mean[order]).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(config.input.std[order]).view(3, 1, 1), persistent=False)

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        """Training losses: named float32 scalars; every one is differentiable with no object in the batch."""
        raise NotImplementedError

    def detect(self, images: Images) -> Detections:
        """Batched detections in pixels of the network input. Call under ``torch.no_grad`` and in evaluation mode."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    @property
    def dtype(self) -> torch.dtype:
        """The number type that the network computes in: that of its weights. Boxes and scores are float32 at least."""
        return next((value.dtype for value in self.parameters() if value.dim() > 1), self.pixel_mean.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Detector:
        """What `half`, `bfloat16`, `to` and the like do to each tensor; see `detzoo.precision.always_full`."""
        full = {id(tensor) for held in always_full(self) for tensor in (held, held.grad) if tensor is not None}

        def apply(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return tensor.to(moved.device, torch.float32) if id(tensor) in full and is_half(moved.dtype) else moved

        return super()._apply(apply, recurse)

    def normalize(self, pixels: Tensor, sizes: Tensor) -> Images:
        """Network input from uint8 RGB ``pixels [N, 3, H, W]`` and unpadded ``sizes [N, 2]``; padding becomes zero.

        Computed in float32, and given in the type of the weights.
        """
        pixels = (pixels.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std
        if self.config.input.order == "bgr":
            pixels = pixels.flip(1)
        rows = torch.arange(pixels.shape[2], device=pixels.device) < sizes[:, :1]
        columns = torch.arange(pixels.shape[3], device=pixels.device) < sizes[:, 1:]
        pixels = pixels * (rows[:, None, :, None] & columns[:, None, None, :])
        return Images(pixels.to(self.dtype), sizes)

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Load a state dict that uses the published parameter names, strictly.

        Raises:
            ValueError: parameters are missing, left over, or of another shape; the message lists them.
        """
        from detzoo.interop.renaming import load_renamed

        load_renamed(self, weights, self.renaming, self.unpublished)

    def load_paddle(self, weights: Mapping[str, Tensor]) -> None:
        """Copy weights of PaddleDetection into this detector: their names, layout and order of classes become ours.

        Args:
            weights: name there -> tensor, as `detzoo.pickles.paddle.read` gives them.

        Raises:
            ValueError: parameters are missing, left over, or of another shape; the message lists them.
        """
        from detzoo.interop.paddle.weights import renamed

        self.load_state_dict(renamed(self, weights))

    def paddle_tensors(self, weights: Mapping[str, Tensor], whole: bool = False) -> dict[str, Tensor]:
        """What training of this detector may start from, under its names: see `interop.paddle.weights.of_backbone`."""
        from detzoo.interop.paddle.weights import of_backbone

        return of_backbone(self, weights, whole)

    @property
    def renaming(self) -> tuple[tuple[str, str], ...]:
        """``published_names``, behind those of a backbone whose parameters are called otherwise than published ones."""
        backbone = self._modules.get("backbone")
        return (*getattr(backbone, "published_names", ()), *self.published_names)

    def own_name(self, published: str) -> str:
        """What a parameter of a published state dict is called here, whether there is one or not."""
        from detzoo.interop.renaming import rename

        return rename(published, self.renaming)

    def predict(
        self,
        source: Any,
        *,
        threshold: float = 0.05,
        batch: int = 4,
        progress: bool = False,
        classes: Any = None,
        nms: float | None = None,
        size: int | str | tuple[int, int] | None = None,
        precision: Precision | torch.dtype | None = None,
        tta: TTA | bool | str | Mapping[str, Any] | None = None,
        overrides: Iterable[str] | Mapping[str, Any] = (),
    ) -> Any:
        """Detect in pictures: the one call for using a trained detector.

        Args:
            source: a path, folder, glob pattern, video file, PIL image, uint8 RGB array (H, W, 3), or a list of those.
            threshold: detections that score less are left out; 0 to 1.
            batch: images per network call.
            progress: show a progress bar.
            classes: names or numbers of the classes to return, one or a list; None: all.
            nms: IoU above which the lesser of two boxes of a class is dropped, 0 to 1; None: the detector's own.
            size: pixels of the short edge in the network's input, the bound of the long edge moving in proportion; or
                both, ``(480, 640)`` or ``"480x640"``: of the short and the long edge, and of height and width where the
                detector does not keep the ratio. None: the detector's own.
            precision: what the network computes in: ``fp32``, ``bf16`` or ``fp16``; boxes and scores stay float32. The
                weights are converted for this call; for many calls, load the detector in it. None: as they are.
            tta: test-time augmentation, views of each picture whose boxes and masks are merged: True for the picture
                and its mirror image; others by ``TTA(scales=(0.5, 1, 1.5), flip=True)`` or a text, see
                `detzoo.tta.pick_tta`. None: the picture as it is. A method that suppresses nothing merges boxes of a
                class with an IoU above 0.5; one that finds proposals merges them as it does its own.
            overrides: any settings of the model for this call, ``["model.box_head.detections=300"]`` or a dict; for
                many calls see `with_settings`.

        Returns:
            A list of one `detzoo.Result` for each image, in pixels of the image, in the order of the source;
            for a video, a generator that yields one per frame.

        Raises:
            FileNotFoundError: nothing is at the path or matches the pattern.
            ConfigError: an override does not exist or does not fit.
            ValueError: a file is no picture, an array is not uint8 (H, W, 3), a number is out of range, there is no
                such class or precision; or the method needs proposals.
        """
        from detzoo.evaluate.inference import in_precision
        from detzoo.predict.run import predict

        ready = in_precision(self.with_settings(overrides, nms=nms, size=size), precision)
        return predict(ready, source, threshold=threshold, batch=batch, progress=progress, classes=classes, tta=tta)

    def with_settings(
        self,
        overrides: Iterable[str] | Mapping[str, Any] = (),
        *,
        nms: float | None = None,
        size: int | str | tuple[int, int] | None = None,
    ) -> Detector:
        """This detector with other settings of its model, sharing its weights; to predict with, again and again.

        Args:
            overrides: as for `predict`.
            nms: as for `predict`.
            size: as for `predict`.

        Returns:
            A detector in evaluation mode; this one if nothing changes.

        Raises:
            ConfigError: a setting is unknown or does not fit, or the weights do not fit the changed model.
            ValueError: ``nms`` is not from 0 to 1, or ``size`` is not positive.
        """
        from detzoo.recipes.changed import with_settings

        return with_settings(self, overrides, nms=nms, size=size)

    def save(self, path: str | Path, *, parts: Sequence[str] = ()) -> Path:
        """Write weights, recipe and class names to one safetensors file that `detzoo.load` rebuilds; atomic.

        Args:
            path: the file, by habit ending in ``.safetensors``.
            parts: names of modules that the program has put in the place of the recipe's, e.g. ``["backbone"]``; to
                load the file, it passes them in again: ``detzoo.load(path, parts={"backbone": module})``.

        Raises:
            ValueError: there is no recipe, or it would not build this detector again: other parts, settings or tensors.
            OSError: the file cannot be written; what was there is unchanged.
        """
        from detzoo.recipes.files import save

        return save(self, path, parts=parts)

    def export(self, path: str | Path, **options: Any) -> Any:
        """Write a file that runs without detzoo, from pictures to boxes; it is compared with this detector first.

        Args:
            path: ``.onnx``, ``.pt2`` (`torch.export`) or ``.xml`` (OpenVINO); `detzoo.load` opens each of them.
            **options: as of `detzoo.export.write.export`.

        Returns:
            What was written, and how far its results are from this detector's.

        Raises:
            ExportError: the file cannot be made, or would find something else; the message says what to do.
            ModuleNotFoundError: what makes or runs such a file is not installed; the message says how to install it.
        """
        from detzoo.export.write import export

        return export(self, path, **options)

    @staticmethod
    def of_file(path: str | Path, device: torch.device) -> Detector:
        """The detector in a file that `export` wrote; `detzoo.load` is the way to call it."""
        from detzoo.export.exported import open_exported

        return open_exported(path, device)

    def trainable(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Name and parameter of everything that an optimizer should see."""
        return ((name, parameter) for name, parameter in self.named_parameters() if parameter.requires_grad)
