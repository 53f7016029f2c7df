"""Where the drawings of a run go: a name for each image, and never that of a file that the run reads."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detzoo.overwrite import ReadFiles
from detzoo.predict.sources import is_camera, is_video, pictures

KEPT = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # an image of one of these kinds is drawn in its own
INSTEAD = "choose another folder with --out"


class Outputs:
    """A folder of drawings, one for each image of a source that is a path, a folder, a pattern or a video.

    Attributes:
        folder: where the drawings go.
        images: the image files that are read, in order; none for a video.
    """

    def __init__(self, folder: str | Path, source: Any, more: Iterable[str | Path] = ()) -> None:
        """Choose every name; nothing is written, and no image is read.

        Args:
            folder: where the drawings go; it need not exist.
            source: what `detzoo.detector.Detector.predict` is to be given.
            more: other files that are read, which are not to be overwritten either.

        Raises:
            FileNotFoundError: nothing is at the path or matches the pattern.
            OverwritesSource: a drawing would replace a file that is read.
        """
        self.folder = Path(folder).expanduser()
        if is_video(source):
            paths = [] if is_camera(source) else [Path(source)]
        else:
            paths = [item for item in pictures(source) if isinstance(item, Path)]
        self.images = [] if is_video(source) else paths
        self._read = ReadFiles([*paths, *more])
        self._taken: set[str] = set()
        self._names: dict[Path, Path] = {}
        if not is_video(source):
            for number, path in enumerate(paths):
                self._names[path] = self._free(path, number)
            for target in self._names.values():
                self._read.refuse(target, INSTEAD)

    def file(self, name: str) -> Path:
        """The path of another file in the folder.

        Raises:
            OverwritesSource: it is a file that is read.
        """
        self.check(self.folder / name)
        return self.folder / name

    def check(self, target: str | Path) -> None:
        """Refuse any other file that is to be written, if it is one that is read.

        Raises:
            OverwritesSource: it is.
        """
        self._read.refuse(target, INSTEAD if self.folder in Path(target).parents else "choose another file")

    def drawing(self, path: Path | None, number: int) -> Path:
        """Where the drawing of an image, or of the frame ``number`` of a video, goes."""
        if path is not None and path in self._names:
            return self._names[path]
        return self._free(path, number)

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


def _folded(name: str) -> str:
    """A name as file systems see it that do not tell cases or forms of accents apart."""
    return unicodedata.normalize("NFC", name).casefold()
