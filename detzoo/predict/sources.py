"""What can be predicted on: one thing or many, from files or from memory."""

from __future__ import annotations

import glob
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detzoo.data.images import SUFFIXES, ImageError, image_size, read_image, upright_rgb, upright_size
from detzoo.suggest import unknown
from detzoo.user_path import user_path

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

SAID = 10  # names in a remark

Picture: TypeAlias = Path | NDArray[np.uint8] | Image.Image

log = logging.getLogger("detzoo.predict")
_loading = threading.Lock()


class Pictures(list[Picture]):
    """Pictures in order.

    Attributes:
        optional: for each whether a folder or a pattern gave it; the others were named one by one.
        remarks: which files there were not taken, and why, as sentences.
    """

    def __init__(
        self, pictures: Iterable[Picture] = (), optional: Iterable[bool] = (), remarks: Iterable[str] = ()
    ) -> None:
        super().__init__(pictures)
        self.optional = list(optional) or [False] * len(self)
        self.remarks = list(remarks)


def is_video(source: Any) -> bool:
    """Whether ``source`` is a video file, judged by its suffix, or a camera: its frames come in a stream."""
    if is_camera(source):
        return True
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEOS and not _has_pattern(source)


def is_camera(source: Any) -> bool:
    """Whether ``source`` is the number of a camera, ``0`` or ``"0"``, and no file of that name."""
    if isinstance(source, str) and source.isdecimal():
        return not os.path.exists(source)
    return isinstance(source, int) and not isinstance(source, bool) and source >= 0


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


def file_of(picture: Picture) -> Path | None:
    """The file that a picture is read from, which Pillow does late; None for pixels in memory.

    Pillow knows no name where it was given an open file, but the file itself does, until the pixels are loaded.
    """
    if isinstance(picture, Path):
        return picture
    for name in (getattr(picture, "filename", None), getattr(getattr(picture, "fp", None), "name", None)):
        if name and isinstance(name, str | bytes | Path):
            return Path(os.fsdecode(name))
    return None


def _joined(sources: Iterable[Any]) -> Pictures:
    parts = [pictures(source) for source in sources]
    return Pictures(
        (one for part in parts for one in part),
        (one for part in parts for one in part.optional),
        (remark for part in parts for remark in part.remarks),
    )


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


def size_of(picture: Picture) -> tuple[int, int]:
    """Height and width of what `load` gives, without decoding a file; of damaged pictures it may be wrong.

    Raises:
        ValueError, OSError: the file is no image, or cannot be opened.
    """
    if isinstance(picture, Path):
        return image_size(picture)
    if isinstance(picture, Image.Image):
        with _loading:
            return upright_size(picture)
    return picture.shape[0], picture.shape[1]


def frames(source: str | Path | int) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video file or a camera, uint8 RGB ``(H, W, 3)``; the others are read as they are taken.

    A warning says where a file ends before the number of frames that its header states.

    Raises:
        FileNotFoundError: nothing is at the path.
        ModuleNotFoundError: OpenCV is not installed.
        ValueError: the file is no video, or no frame of it can be decoded; the camera does not answer.
    """
    if "://" in str(source):
        raise FileNotFoundError(f"{source} is an address: download it first and give the file")
    camera = int(str(source)) if is_camera(source) else None
    name = f"camera {camera}" if camera is not None else str(user_path(str(source)))
    if camera is None:
        if not os.path.exists(name):
            raise FileNotFoundError(f"there is no video at {name}")
        if not os.path.isfile(name):
            raise ValueError(f"{name} is no regular file")
    try:
        import cv2
    except ModuleNotFoundError:
        raise ModuleNotFoundError("reading a video needs OpenCV: pip install detzoo[video]") from None
    capture = cv2.VideoCapture(name if camera is None else camera)
    more, frame = capture.read() if capture.isOpened() else (False, None)
    if not more or frame is None:
        opened = capture.isOpened()
        capture.release()
        if camera is not None:
            raise ValueError(f"{name} does not answer: is it there, and may this program use it?")
        if not os.path.getsize(name):
            raise ValueError(f"{name} is empty (0 bytes)")
        why = "it has no frame that can be decoded" if opened else "it may be cut, or of a kind that is not read"
        raise ValueError(f"{name} cannot be decoded as a video: {why}")
    stated = 0 if camera is not None else int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return _frames(capture, frame, stated, name)


def _frames(capture: Any, frame: Any, stated: int, name: str) -> Iterator[NDArray[np.uint8]]:
    """The first frame and all that follow."""
    count, more = 0, True
    try:
        while more and frame is not None:
            count += 1
            yield np.ascontiguousarray(frame[:, :, ::-1], dtype=np.uint8)
            more, frame = capture.read()
    finally:
        capture.release()
    if stated - count > stated // 100:  # the headers of some long ones count a few more than there are
        log.warning("%s ends after %d of %d frames: it may be cut or damaged", name, count, stated)


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
    return glob.has_magic(str(source)) and not user_path(source).exists()


def _files(source: str | Path) -> Pictures:
    if not str(source):
        raise ValueError("cannot predict on an empty path: give a path, '.' for the current folder")
    path = user_path(source)
    if path.is_dir():
        children = sorted(path.iterdir())
        hint = f"; for folders below it use '{path}/**/*.jpg'" if any(map(os.path.isdir, children)) else ""
        return _images(children, str(path), f"no image in folder {path}", hint)
    if os.path.isfile(path):
        if is_video(path):
            raise ValueError(f"{path} is a video, which is predicted on its own and not in a list")
        return Pictures([path])
    if _has_pattern(path):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        return _images(matches, str(path), f"no image matches {path}", "")
    if "://" in str(source):
        raise FileNotFoundError(f"{source} is an address: download it first and give the file")
    if path.exists():
        raise ImageError(f"{path} is no regular file")
    raise FileNotFoundError(f"there is nothing at {path}{_near(path)}")


def _images(files: Iterable[Path], source: str, none: str, hint: str) -> Pictures:
    """The image files among ``files``, and which pictures and videos are not taken.

    Raises:
        FileNotFoundError: there are none.
    """
    seen = [file for file in files if not file.name.startswith(".")]
    named = [file for file in seen if file.suffix.lower() in SUFFIXES]
    found = [file for file in named if os.path.isfile(file)]  # no pipe and no device, which might never end
    other = [file for file in seen if file.suffix.lower() in (*_OTHER_KINDS, *VIDEOS)]
    odd = [file for file in named if not os.path.isfile(file) and not os.path.isdir(file)]
    remarks = [
        f"{len(left)} of {len(seen)} files {why}: {', '.join(file.name for file in left[:SAID])}"
        f"{f' and {len(left) - SAID} more' if len(left) > SAID else ''}"
        for left, why in (
            (other, "are of kinds that are not read here (convert pictures to JPEG or PNG, give videos one by one)"),
            (odd, "are no regular files and are left out"),
        )
        if left
    ]
    if not found:
        raise FileNotFoundError("; ".join([f"{none}: looked for {' '.join(SUFFIXES)}{hint}", *remarks]))
    return Pictures(found, [True] * len(found), (f"{source}: {remark}" for remark in remarks))


def _near(path: Path) -> str:
    """The nearest name in the folder, as a question."""
    if not path.parent.is_dir():
        return f"; the folder {path.parent} does not exist either"
    hint = unknown(path.name, sorted(child.name for child in path.parent.iterdir()), "file")
    return hint[hint.index(";") :] if ";" in hint else ""
