"""Fonts that have the letters of class names, in whichever script: the setting, Pillow's, DejaVu, then the system's."""

from __future__ import annotations

import functools
import os
import threading
import unicodedata
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from PIL import ImageFont, features

from detzoo.user_path import user_path

SETTING = "DETZOO_FONT"
LONGEST = 80  # letters of a name that are drawn
# of two fonts that have a letter, the one to read a name in: one file for many scripts, then a plain face
_WIDE = (
    "notosanscjk",
    "sourcehansans",
    "droidsansfallback",
    "wqy",
    "unifont",
    "arialuni",
    "notosans",
    "msyh",
    "gothic",
)
_SPECIAL = ("bold", "italic", "oblique", "mono", "serif", "condensed", "black", "light", "thin", "emoji", "display")
_MARKS = ("Mn", "Me", "Cf")  # marks on a letter, and what joins letters: they go with it, drawn or not

Font: TypeAlias = Any  # Pillow's FreeTypeFont
Run: TypeAlias = tuple[Font, str]


class Fonts:
    """Cuts texts into runs of letters that one font has."""

    def __init__(self, chosen: str | Path | None = None) -> None:
        """Choose the font to look in first.

        Args:
            chosen: a font file; None: that of the environment variable DETZOO_FONT, if it is set.

        Raises:
            ValueError: it is no font that can be read.
        """
        given = chosen if chosen is not None else os.environ.get(SETTING) or None
        self.chosen = None if given is None else str(user_path(given))
        if self.chosen is not None and not _letters(self.chosen):
            name = "font" if chosen is not None else SETTING
            raise ValueError(f"{name}: {given} is not a font file that can be read")

    def runs(self, text: str, points: float) -> list[Run] | None:
        """``text`` as fonts of a size with what is to be drawn in each, from left to right; None: letters are missing.

        Letters that nobody draws, such as joiners, count as there.
        """
        runs: list[tuple[str | None, str]] = []
        letters = {letter for letter in text if not letter.isspace() and unicodedata.category(letter) not in _MARKS}
        first = [*([self.chosen] if self.chosen else []), None, *([] if text.isascii() else [_dejavu()])]
        for font in first:  # one face for all of it where there is one
            if all(_has(font, letter) for letter in letters):
                return [(_sized(font, points), _ordered(text))]
        for letter in text:
            place = runs[-1][0] if runs else None
            if letter in letters and (not runs or not _has(place, letter)):
                having = [*islice((font for font in self._candidates() if _has(font, letter)), 1)]
                if not having:
                    return None
                place = having[0]
            if runs and runs[-1][0] == place:
                runs[-1] = (place, runs[-1][1] + letter)
            else:
                runs.append((place, letter))
        return [(_sized(place, points), _ordered(part)) for place, part in runs]

    def name(self, text: str, label: int, points: float) -> list[Run]:
        """As `runs`, but a name with missing letters becomes the class number and their numbers, with one warning."""
        text = text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
        runs = self.runs(text, points)
        if runs is None:
            _say_missing(self.chosen)
            numbers = " ".join(f"U+{ord(letter):04X}" for letter in text[:4])
            runs = self.runs(f"{label} {numbers}", points)
        assert runs is not None  # Pillow's font has digits and capitals
        return runs

    def _candidates(self) -> Iterator[str | None]:
        if self.chosen is not None:
            yield self.chosen
        yield None
        yield _dejavu()
        yield from _installed()


_lock = threading.Lock()


@functools.cache
def _say_missing(chosen: str | None) -> None:
    """Warn, once for each choice of a font."""
    where = f"neither {chosen} nor any other font on this machine has" if chosen else "no font on this machine has"
    warnings.warn(
        f"{where} the letters of some class names, so their class numbers are drawn: give a font file that has them "
        f"with font=, or in the environment variable {SETTING}",
        stacklevel=2,
    )


@functools.cache
def _dejavu() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@functools.cache
def _installed() -> tuple[str, ...]:
    """The system's fonts, those first that are good to read a name in."""
    from matplotlib import font_manager

    def rank(path: str) -> tuple[int, int, str]:
        name = Path(path).stem.lower().replace("-", "").replace("_", "")
        wide = next((place for place, word in enumerate(_WIDE) if word in name), len(_WIDE))
        return sum(word in name for word in _SPECIAL), wide, path

    return tuple(sorted(font_manager.findSystemFonts(), key=rank))


def _has(font: str | None, letter: str) -> bool:
    if font is None and letter.isascii():
        return letter.isprintable()  # known without a look
    return ord(letter) in _letters(font)


def _letters(font: str | None) -> frozenset[int]:
    """The code points that a font file, or Pillow's own font (None), has outlines for; none if it cannot be read."""
    with _lock:  # FreeType is not made for threads
        return _read_letters(font)


@functools.cache
def _read_letters(font: str | None) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        face = FT2Font(ImageFont.load_default(size=10).path if font is None else font)  # pyright: ignore
        return frozenset(face.get_charmap()) if face.scalable else frozenset()
    except (OSError, RuntimeError, ValueError, TypeError):
        return frozenset()


@functools.lru_cache(maxsize=64)
def _sized(font: str | None, points: float) -> Font:
    return ImageFont.load_default(size=points) if font is None else ImageFont.truetype(font, points)


def _ordered(text: str) -> str:
    """Letters as they follow each other on paper: without libraqm, Pillow draws all scripts from left to right."""
    leftwards = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in text)
    return text[::-1] if leftwards and not features.check("raqm") else text
