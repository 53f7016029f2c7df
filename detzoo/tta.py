"""`TTA`, test-time augmentation: in which views a picture is looked at before their results are merged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from detzoo.config import Config, ConfigError, validate
from detzoo.typed import VIEW, argument

Pixels = Annotated[int, Field(ge=1, le=1 << 14)]
# a factor of the detector's own input size, or (short, long): bounds of the edges, in pixels, as `Input` has them
Scale: TypeAlias = Annotated[float, Field(gt=0, le=16)] | tuple[Pixels, Pixels]
_SIZE = re.compile(r"(\d+)x(\d+)")


class TTA(Config):
    """Views of a picture whose detections are merged: as it is at each of ``scales``, and each of those mirrored."""

    scales: Annotated[tuple[Scale, ...], Field(min_length=1, max_length=20)] = (1.0,)
    flip: bool = True  # each also with left and right exchanged
    vertical: bool = False  # each also upside down
    nms: float | None = Field(default=None, ge=0, le=1)  # IoU of boxes that are one object; None: the method's own
    # False: what a view's own suppression would drop takes part, too; of methods with a second stage alone
    first_nms: bool = True
    # IoU from which boxes of all views, weighted by their scores, move those that are kept to their mean; None: none do
    votes: float | None = Field(default=None, ge=0, le=1)

    @property
    def flips(self) -> list[tuple[int, ...]]:
        """The axes along which each scale is mirrored, one entry a view: 0 along the rows, 1 along the columns."""
        return [(), *([(1,)] if self.flip else []), *([(0,)] if self.vertical else [])]

    @property
    def changes_nothing(self) -> bool:
        """Whether the only view is the picture as the detector takes it anyway."""
        return self.scales == (1.0,) and len(self.flips) == 1 and self.first_nms and self.votes is None


def pick_tta(given: Any, published: TTA | None = None) -> TTA | None:
    """The views to look at, None for the picture as it is alone.

    Args:
        given: `TTA` or a dict of its settings; True: each picture and its mirror image; False or None: no more than the
            picture; or words with commas between them, as ``"flip,0.5,1,1.5"``: ``flip`` and ``vertical`` mirror,
            numbers are factors of the detector's own size, ``600x900`` bounds the short and the long edge,
            ``published`` alone is what follows.
        published: what the recipe's numbers were measured with, if it says so.

    Raises:
        ConfigError: it is none of these, a value does not fit, or nothing is published.
    """
    if given is None or given is False:
        return None
    if given is True:
        return TTA()
    if isinstance(given, TTA):
        views = given
    elif isinstance(given, Mapping):
        views = validate(TTA, given)
    elif isinstance(given, str):
        words = [word.strip() for word in given.split(",")]
        if words == ["published"]:
            if published is None:
                raise ConfigError(f"{argument('tta', given)}: the recipe does not say that its numbers had any")
            views = published
        else:
            views = _from_words(words, given)
    else:
        raise ConfigError(f"tta is True, TTA(...), its settings as a dict, or a text, not {given!r}")
    return None if views.changes_nothing else views


def _from_words(words: Sequence[str], given: str) -> TTA:
    scales: list[Any] = []
    for word in words:
        size = _SIZE.fullmatch(word)
        if word in ("flip", "vertical"):
            continue
        if word == "published" or not VIEW.fullmatch(word):
            raise ConfigError(
                f"{argument('tta', given)}: {word!r} is no view; there are flip, vertical, factors such as 0.5, and "
                "short and long edges such as 600x900; or published alone"
            )
        scales.append((int(size[1]), int(size[2])) if size else float(word))
    try:
        return validate(TTA, {"scales": scales or [1.0], "flip": "flip" in words, "vertical": "vertical" in words})
    except ConfigError:
        limits = f"at most 20 sizes, factors above 0 and up to 16, and edges of 1 to {1 << 14} pixels"
        raise ConfigError(f"{argument('tta', given)}: {limits}") from None
