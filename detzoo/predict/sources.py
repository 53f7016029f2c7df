"""What can be predicted on: one thing or many, from files or from memory."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from detzoo.config import unknown
from detzoo.data.images import read_image

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jfif")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")

Picture: TypeAlias = Path | NDArray[np.uint8] | Image.Image


def is_video(source: Any) -> bool:
    """Whether ``source`` is the path of a video file, judged by its suffix."""
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEOS and not _has_pattern(source)


def pictures(source: Any) -> list[Picture]:
    """Every picture of a source, in order; files are only looked up, not read.

    Args:
        source: a path, folder (its image files by name, not those in folders below), glob pattern, PIL image, uint8 RGB
            array ``(H, W, 3)``, or a list of those.

    Raises:
        FileNotFoundError: nothing is at the path, matches the pattern, or is an image in the folder.
        ValueError: an array is not uint8 ``(H, W, 3)``, a video in a list, or something else altogether.
    """
    if isinstance(source, Image.Image):
        return [source]
    if isinstance(source, np.ndarray):
        if source.ndim == 4:
            return [picture for one in source for picture in pictures(one)]
        return [_checked(source)]
    if isinstance(source, (str, Path)):
        return list(_files(source))
    if isinstance(source, (list, tuple)):
        return [picture for one in source for picture in pictures(one)]
    hint = ""
    if type(source).__module__.startswith("torch"):
        hint = "; turn a (3, H, W) tensor into an array with .permute(1, 2, 0).numpy()"
    raise ValueError(
        f"cannot predict on {type(source).__name__}: give a path, folder, pattern, PIL image or array{hint}"
    )


def file_of(picture: Picture) -> Path | None:
    """The file that a picture is read from, which Pillow does late; None for pixels in memory."""
    name = picture if isinstance(picture, Path) else getattr(picture, "filename", None)
    return Path(name) if name and isinstance(name, str | Path) else None


def load(picture: Picture) -> NDArray[np.uint8]:
    """The pixels of a picture, uint8 RGB ``(H, W, 3)``.

    Raises:
        ValueError: the file is no image, or is broken; the message names it.
    """
    if isinstance(picture, Path):
        return read_image(picture)
    if isinstance(picture, Image.Image):
        return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    return picture


def frames(path: str | Path) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video file, uint8 RGB ``(H, W, 3)``; the file is opened at once and read as frames are taken.

    Raises:
        FileNotFoundError: nothing is at the path.
        ModuleNotFoundError: OpenCV is not installed.
        ValueError: the file cannot be decoded.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no video at {path}")
    try:
        import cv2
    except ModuleNotFoundError:
        raise ModuleNotFoundError("reading a video needs OpenCV: pip install detzoo[video]") from None
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f"{path} cannot be decoded as a video")

    def read() -> Iterator[NDArray[np.uint8]]:
        try:
            while True:
                more, frame = capture.read()
                if not more:
                    return
                yield np.ascontiguousarray(frame[:, :, ::-1], dtype=np.uint8)
        finally:
            capture.release()

    return read()


def _checked(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        wanted = "an array must be uint8 RGB of shape (height, width, 3)"
        raise ValueError(f"{wanted}, got {array.dtype} of shape {array.shape}{_mend(array)}")
    return array


def _mend(array: NDArray[Any]) -> str:
    if array.ndim == 2:
        return "; repeat a grey image with np.stack([grey] * 3, axis=2)"
    if array.ndim == 3 and array.shape[2] == 4:
        return "; drop the transparency with array[:, :, :3]"
    if array.ndim == 3 and array.shape[0] == 3 != array.shape[2]:
        return "; put the channels last with array.transpose(1, 2, 0)"
    if array.dtype != np.uint8 and array.ndim == 3:
        return "; scale it to 0-255 and use array.astype(np.uint8)"
    return ""


def _has_pattern(source: str | Path) -> bool:
    return glob.has_magic(str(source)) and not Path(source).exists()


def _files(source: str | Path) -> Sequence[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        found = sorted(child for child in path.iterdir() if child.is_file() and _is_image(child))
        if not found:
            hint = f"; for folders below it use '{path}/**/*.jpg'" if any(c.is_dir() for c in path.iterdir()) else ""
            raise FileNotFoundError(f"no image in folder {path}: looked for {' '.join(IMAGES)}{hint}")
        return found
    if path.is_file():
        if is_video(path):
            raise ValueError(f"{path} is a video, which is predicted on its own and not in a list")
        return [path]
    if _has_pattern(path):
        found = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        found = [match for match in found if match.is_file() and _is_image(match)]
        if not found:
            raise FileNotFoundError(f"no image matches {path}: looked for {' '.join(IMAGES)}")
        return found
    if "://" in str(source):
        raise FileNotFoundError(f"{source} is an address: download it first and give the file")
    raise FileNotFoundError(f"there is nothing at {path}{_near(path)}")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGES and not path.name.startswith(".")


def _near(path: Path) -> str:
    """The nearest name in the folder, as a question."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    hint = unknown(path.name, sorted(child.name for child in path.parent.iterdir()), "file")
    return hint[hint.index(";") :] if ";" in hint else ""
