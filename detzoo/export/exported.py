"""A detector that is a file of `Detector.export`, and answers to the same words as the one that it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.detector import Detector, DetectorConfig
from detzoo.export.program import detections
from detzoo.export.runners import RUNNERS, Runner
from detzoo.types import Detections, Images
from detzoo.user_path import user_path


class ExportedDetector(Detector):
    """Predicts and evaluates by the calls of `Detector`; has no weights to train and no settings to change but sizes.

    Attributes:
        info: what the file says of itself.
    """

    class Config(DetectorConfig):
        """Settings that those who use a detector ask for: its input, and how it merges boxes."""

        nms: float
        soft_nms: dict[str, Any] | None
        detections: int | None

    finds_classes: ClassVar[bool]
    takes_proposals: ClassVar[bool]

    def __init__(self, runner: Runner) -> None:
        info = runner.info
        super().__init__(ExportedDetector.Config(input=info.input, **info.suppression), info.classes)
        self.runner, self.info = runner, info
        vars(self).update(finds_classes=info.finds_classes, takes_proposals=info.takes_proposals)
        self.eval()

    def normalize(self, pixels: Tensor, sizes: Tensor) -> Images:
        """The same pixels: the file normalizes by itself."""
        return Images(pixels, sizes)

    def detect(self, images: Images, proposals: Tensor | None = None) -> Detections:
        """Batched detections in pixels of the input; what is too small for the file is padded.

        Args:
            images: uint8 RGB ``[N, 3, H, W]`` and sizes, as of `normalize`.
            proposals: float32 ``[N, P, 4]`` xyxy pixels, where the method takes them.

        Raises:
            ValueError: the file takes one size only, and this is larger.
        """
        height, width = images.pixels.shape[2:]
        least = self.info.size or self.info.least
        if self.info.size and (height > least[0] or width > least[1]):
            raise ValueError(
                f"this file takes images of {least[0]} x {least[1]} pixels, not of {height} x {width}: export it again "
                "with another size, or without one"
            )
        pixels = F.pad(images.pixels, (0, max(0, least[1] - width), 0, max(0, least[0] - height)))
        given = {"images": pixels, "sizes": images.sizes}
        if proposals is not None:
            given["proposals"] = proposals
        return detections(self.runner(given), (height, width), self.info.mask_threshold)

    def with_settings(
        self,
        overrides: Iterable[str] | Mapping[str, Any] = (),
        *,
        nms: float | None = None,
        size: int | str | tuple[int, int] | None = None,
    ) -> Detector:
        """The same file for pictures resized to another ``size``; other settings are part of the file.

        Raises:
            ValueError: another setting is to change, or the file takes one size only.
        """
        if nms is not None or list(overrides):
            raise ValueError("the settings of an exported file are fixed: change them before the export")
        if size is not None and self.info.size:
            raise ValueError("size: this file takes {} x {} pixels only".format(*self.info.size))
        return super().with_settings(size=size)

    def to(self, *args: Any, **kwargs: Any) -> Detector:
        """Itself: where a file is to run is said when it is loaded.

        Raises:
            ValueError: this asks for another device or number type.
        """
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue] (as `nn.Module.to` does)
        if device is not None and device.type != self.device.type:
            raise ValueError(f"an exported file stays where it is: detzoo.load(path, device={str(device)!r})")
        if dtype not in (None, self.dtype):
            raise ValueError(
                f"precision: this file computes in {self.info.precision}: export it again with another precision"
            )
        return self

    def save(self, path: str | Path, *, parts: Any = ()) -> Path:
        """Not of an exported file.

        Raises:
            ValueError: always.
        """
        raise ValueError("an exported file has no weights to save: copy the file, or save what it was made of")


def open_exported(path: str | Path, device: torch.device | None = None) -> ExportedDetector:
    """The detector in a file that `Detector.export` wrote; see `detzoo.load`.

    Raises:
        ModuleNotFoundError: what runs the file is not installed; the message says how to install it.
        ExportedFileError: the file is damaged or not ours.
        ValueError: it cannot run on the device.
    """
    path = user_path(path)
    return ExportedDetector(RUNNERS[path.suffix.lower()](path, device or torch.device("cpu")))
