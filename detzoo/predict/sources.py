"""What can be predicted on: one thing or many, from files or from memory."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detzoo.config import unknown
from detzoo.data.images import SUFFIXES, ImageError, read_image, upright_rgb
from detzoo.data.problems import report

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")

# pictures of kinds that are not read; named where a folder has them, so that none is missed in silence
_OTHER_KINDS = (
    *(".heic", ".heif", ".hif", ".jxl", ".jxr", ".svg", ".svgz", ".eps", ".ps", ".ai", ".psd", ".psb", ".xcf", ".pdf"),
    *(".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".exr", ".hdr", ".pfm", ".qoi", ".dds"),
    *(
        ".ico",
        ".icns",
        ".pcx",
        ".xbm",
        ".xpm",
        ".sgi",
        ".ras",
        ".wmf",
        ".emf",
        ".fits",
        ".dcm",
        ".nii",
        ".djvu",
        ".fpx",
    ),
)

Picture: TypeAlias = Path | NDArray[np.uint8] | Image.Image

_loading = threading.Lock()


class Pictures(list[Picture]):
    """Pictures in order.

    Attributes:
        found: those files that a folder or a pattern gave; the others were named one by one.
    """

    def __init__(self, pictures: Iterable[Picture] = (), found: Iterable[Path] = ()) -> None:
        super().__init__(pictures)
        self.found = set(found)


def is_video(source: Any) -> bool:
    """Whether ``source`` is the path of a video file, judged by its suffix."""
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEOS and not _has_pattern(source)


def pictures(source: Any) -> Pictures:
    """Every picture of a source, in order; files are only looked up, not read.

    Args:
        source: a path, folder (its image files by name, not those in folders below), glob pattern, PIL image, uint8 RGB
            array ``(H, W, 3)``, or a list of those.

    Raises:
        FileNotFoundError: nothing is at the path, matches the pattern, or is an image in the folder.
        ValueError: an array is not uint8 ``(H, W, 3)``, a video in a list, or something else altogether.
    """
    if isinstance(source, Image.Image):
        return Pictures([source])
    if isinstance(source, np.ndarray):
        if source.ndim == 4:
            return _joined(source)
        return Pictures([_checked(source)])
    if isinstance(source, (str, Path)):
        return _files(source)
    if isinstance(source, (list, tuple)):
        return _joined(source)
    hint = ""
    if type(source).__module__.startswith("torch"):
        hint = "; turn a (3, H, W) tensor into an array with .permute(1, 2, 0).numpy()"
    raise ValueError(
        f"cannot predict on {type(source).__name__}: give a path, folder, pattern, PIL image or array{hint}"
    )


def _joined(sources: Iterable[Any]) -> Pictures:
    parts = [pictures(source) for source in sources]
    return Pictures((one for part in parts for one in part), (path for part in parts for path in part.found))


def load(picture: Picture) -> NDArray[np.uint8]:
    """The pixels of a picture, uint8 RGB ``(H, W, 3)``.

    Raises:
        ValueError: the file is no image, or is broken; the message names it.
    """
    if isinstance(picture, Path):
        return read_image(picture)
    if isinstance(picture, Image.Image):
        with _loading:  # the same image may be in a list twice, and a file that it reads late has one position
            return upright_rgb(picture)
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


def _files(source: str | Path) -> Pictures:
    path = Path(source).expanduser()
    if path.is_dir():
        children = sorted(path.iterdir())
        found = _images(path, children)
        if not found:
            hint = f"; for folders below it use '{path}/**/*.jpg'" if any(map(os.path.isdir, children)) else ""
            raise FileNotFoundError(f"no image in folder {path}: looked for {' '.join(SUFFIXES)}{hint}")
        return Pictures(found, found)
    if os.path.isfile(path):
        if is_video(path):
            raise ValueError(f"{path} is a video, which is predicted on its own and not in a list")
        return Pictures([path])
    if _has_pattern(path):
        found = _images(path, sorted(Path(match) for match in glob.glob(str(path), recursive=True)))
        if not found:
            raise FileNotFoundError(f"no image matches {path}: looked for {' '.join(SUFFIXES)}")
        return Pictures(found, found)
    if "://" in str(source):
        raise FileNotFoundError(f"{source} is an address: download it first and give the file")
    if path.exists():
        raise ImageError(f"{path} is no regular file")
    raise FileNotFoundError(f"there is nothing at {path}{_near(path)}")


def _images(source: Path, files: Iterable[Path]) -> list[Path]:
    """The image files among ``files``; pictures and videos that are left out are named in a warning."""
    seen = [file for file in files if not file.name.startswith(".")]
    named = [file for file in seen if file.suffix.lower() in SUFFIXES]
    found = [file for file in named if os.path.isfile(file)]  # no pipe and no device, which might never end
    other = [file for file in seen if file.suffix.lower() in (*_OTHER_KINDS, *VIDEOS)]
    what = "are of kinds that are not read here (convert pictures to JPEG or PNG, give videos one by one)"
    report(source, what, [file.name for file in other], len(seen), "files")
    odd = [file.name for file in named if not os.path.isfile(file) and not os.path.isdir(file)]
    report(source, "are no regular files and are left out", odd, len(seen), "files")
    return found


def _near(path: Path) -> str:
    """The nearest name in the folder, as a question."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    hint = unknown(path.name, sorted(child.name for child in path.parent.iterdir()), "file")
    return hint[hint.index(";") :] if ";" in hint else ""
