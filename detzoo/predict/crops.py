"""What the boxes cover, each as an image file in a folder of its class."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from detzoo.drawing.draw import write
from detzoo.overwrite import ReadFiles
from detzoo.predict.result import Result
from detzoo.predict.written import NAME, Written


class Crops:
    """``crops/<class>/<image>_<number>.jpg``; letters that do not suit a file name become ``_``."""

    def __init__(self, folder: Path, read: ReadFiles, instead: str) -> None:
        """Look at what is in the folder; nothing is written.

        Args:
            folder: where they go.
            read: files that must not be replaced.
            instead: what else to do, for an error.

        Raises:
            FileExistsError: it holds a file that no run has written.
        """
        self._folder, self._read, self._instead = folder, read, instead
        self._written = Written(folder)
        self._taken: set[str] = set()
        for old in sorted(folder.rglob("*")):
            if old.name != NAME and not old.is_dir():
                self._written.refuse(old, instead)

    def add(self, result: Result, stem: str) -> int:
        """Write those of one image and return how many.

        Args:
            result: of the image.
            stem: its name without suffix; a number is added where another image has it.

        Raises:
            OverwritesSource: one would replace a file that is read.
            OSError: one cannot be written.
        """
        while stem.casefold() in self._taken:
            stem = f"{stem}_{len(self._taken)}"
        self._taken.add(stem.casefold())
        cuts = result.crops() if len(result) else []
        for number, (name, cut) in enumerate(zip(result.names, cuts, strict=True)):
            path = self._folder / (re.sub(r"[^\w \-]", "_", name).strip() or "_") / f"{stem}_{number:03d}.jpg"
            self._read.refuse(path, self._instead)
            self._written.add(write(lambda cut=cut: Image.fromarray(cut), path))
        return len(cuts)
