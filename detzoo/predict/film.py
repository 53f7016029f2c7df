"""Drawn frames as a video file."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

CAMERA_RATE = 15.0  # frames a second in the film of a camera, whose own frames come when the network is ready


def frame_rate(path: str | Path) -> float:
    """Frames per second of a video file, as its header says; 25 where it says nothing.

    Raises:
        ModuleNotFoundError: OpenCV is not installed.
    """
    capture = _opencv().VideoCapture(str(path))
    rate = float(capture.get(_opencv().CAP_PROP_FPS)) if capture.isOpened() else 0.0
    capture.release()
    return rate if 0.1 <= rate <= 1000 else 25.0


class Film:
    """An ``.mp4`` file (MPEG-4 part 2, which every OpenCV writes), whole or not there. Use as a context.

    Where an error ends it nothing is left; ``keep`` says that an interrupt is the usual end, as it is of a camera.
    """

    def __init__(self, path: str | Path, rate: float, keep: bool = False) -> None:
        """Begin; nothing is written before the first frame.

        Args:
            path: the file to write.
            rate: frames per second.
            keep: finish the file when Ctrl-C ends it.
        """
        self.path, self.rate, self._keep = Path(path), rate, keep
        self._temporary = self.path.with_name(f".{self.path.stem}.{uuid.uuid4().hex}.mp4")
        self._writer: Any = None
        self._size = (0, 0)
        self._count = 0

    def add(self, picture: Image.Image, second: float | None = None) -> None:
        """Append a frame; frames of another size than the first are scaled to it.

        Args:
            picture: RGB.
            second: when it was taken, since the first; it is then repeated until the film is there. None: one frame.

        Raises:
            OSError: the file cannot be written.
        """
        if self._writer is None:
            self._writer = self._opened(picture.size)
        writer: Any = self._writer
        if picture.size != self._size:
            picture = picture.resize(self._size)
        frame = np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])
        wanted = self._count + 1 if second is None else max(round(second * self.rate), self._count) + 1
        while self._count < wanted:
            writer.write(frame)
            self._count += 1

    def _opened(self, size: tuple[int, int]) -> Any:
        cv2 = _opencv()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size = size
        writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, size)
        if not writer.isOpened():
            raise OSError(f"{self.path} cannot be written as a video")
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is not None:
            self._writer.release()
        whole = kind is None or (self._keep and issubclass(kind, KeyboardInterrupt))
        if whole and self._count:
            os.replace(self._temporary, self.path)
        self._temporary.unlink(missing_ok=True)


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError:
        raise ModuleNotFoundError("writing a video needs OpenCV: pip install detzoo[video]") from None
    return cv2
