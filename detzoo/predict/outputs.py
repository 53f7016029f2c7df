"""Where the drawings of a run go: a name for each image, and never that of a file that no run has written."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detzoo.atomic import check_folder
from detzoo.data.images import SUFFIXES
from detzoo.overwrite import ReadFiles
from detzoo.predict.crops import Crops
from detzoo.predict.sources import VIDEOS, is_camera, is_video, pictures
from detzoo.predict.written import Written
from detzoo.user_path import user_path

KEPT = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # an image of one of these kinds is drawn in its own
INSTEAD = "choose another folder with --out"


class Outputs:
    """A folder of drawings, one for each image of a source that is a path, a folder, a pattern or a video.

    Attributes:
        folder: where the drawings go.
        images: the image files that are read, in order; none for a video.
        film: the video file that drawn frames go to, or None.
        crops: what writes what the boxes cover, or None.
    """

    def __init__(
        self,
        folder: str | Path,
        source: Any,
        more: Iterable[str | Path] = (),
        *,
        film: bool = False,
        crops: bool = False,
    ) -> None:
        """Choose every name; nothing is written, and no image is read.

        Args:
            folder: where the drawings go; it need not exist.
            source: what `detzoo.detector.Detector.predict` is to be given.
            more: other files that are read, which are not to be overwritten either.
            film: a video becomes one video file; else each of its frames an image.
            crops: what the boxes cover is written, too.

        Raises:
            FileNotFoundError: nothing is at the path or matches the pattern.
            OverwritesSource: a drawing would replace a file that is read.
            FileExistsError: a drawing would replace another file that the command has not written.
            NotADirectoryError, PermissionError: the folder cannot be made or written to.
        """
        self.folder = user_path(folder)
        check_folder(self.folder)
        if is_video(source):
            paths = [] if is_camera(source) else [user_path(source)]
        else:
            paths = [item for item in pictures(source) if isinstance(item, Path)]
        self.images = [] if is_video(source) else paths
        self._read = ReadFiles([*paths, *more])
        self._written = Written(self.folder)
        self._taken: set[str] = set()
        self._names: dict[Path, Path] = {}
        self.film: Path | None = None
        if is_video(source) and film:
            name = paths[0].stem if paths else f"camera{source}"
            self.film = self.folder / f"{name}.mp4"
            targets = [self.film]
        elif is_video(source):
            targets = self._old_frames(paths[0] if paths else None)
        else:
            for number, path in enumerate(paths):
                self._names[path] = self._free(path, number)
            targets = list(self._names.values())
        for target in targets:
            self._read.refuse(target, INSTEAD)
            self._written.refuse(target, INSTEAD)
        self.crops = Crops(self.folder / "crops", self._read, INSTEAD) if crops else None
        self._claimed = {_place(target): "a drawing" for target in targets}
        self._claimed[_place(self._written.path)] = "the list of what is written"

    def file(self, name: str) -> Path:
        """The path of another file in the folder.

        Raises:
            OverwritesSource: it is a file that is read.
            FileExistsError: it is another file that the command has not written.
            ValueError: something else is written there.
        """
        target = self.folder / name
        self.claim(target)
        self._written.refuse(target, INSTEAD)
        return target

    def claim(self, target: str | Path) -> None:
        """Set aside any other file that is to be written.

        Raises:
            OverwritesSource: it is a file that is read.
            ValueError: something else is written there, it is called as a picture, or is a folder.
        """
        target = user_path(target)
        self._read.refuse(target, INSTEAD if self.folder in target.parents else "choose another file")
        if target.suffix.lower() in (*SUFFIXES, *VIDEOS):
            raise ValueError(
                f"{target} is the name of a picture or video, and JSON is written to it: call it NAME.json"
            )
        if target.is_dir():
            raise ValueError(f"{target} is a folder: give the name of a file")
        check_folder(target.parent)
        place = _place(target)
        if place in self._claimed:
            raise ValueError(f"{target} is where {self._claimed[place]} goes: choose another file")
        self._claimed[place] = target.name

    def wrote(self, target: Path) -> None:
        """Remember, in the folder, that a file in it is the command's own, which the next run may replace."""
        self._written.add(target)

    def drawing(self, path: Path | None, number: int) -> Path:
        """Where the drawing of an image, or of the frame ``number`` of a video, goes."""
        if path is not None and path in self._names:
            return self._names[path]
        return self._free(path, number)

    def _old_frames(self, path: Path | None) -> list[Path]:
        """What is in the folder under the names of frames, of which nobody knows how many there will be."""
        frame = re.compile(rf"{re.escape(path.stem if path else 'picture')}_\d{{6,}}\.jpg", re.IGNORECASE)
        return sorted(old for old in self.folder.glob("*") if frame.fullmatch(old.name))

    def _free(self, path: Path | None, number: int) -> Path:
        """The name of the image itself, unless another image has it; numbered in a video."""
        suffix = path.suffix.lower() if path else ""
        still = suffix in KEPT
        stem = path.stem if path and still else f"{path.stem if path else 'picture'}_{number:06d}"
        ending = suffix if still else ".jpg"
        while _folded(stem + ending) in self._taken:
            stem = f"{stem}_{number:06d}"
        self._taken.add(_folded(stem + ending))
        return self.folder / f"{stem}{ending}"


def _place(path: Path) -> str:
    """What all spellings of a path have in common; the file need not exist."""
    return _folded(os.path.realpath(path))


def _folded(name: str) -> str:
    """A name as file systems see it that do not tell cases or forms of accents apart."""
    return unicodedata.normalize("NFC", name).casefold()
