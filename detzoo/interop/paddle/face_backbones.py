"""The networks of face detectors from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.blazenet import BlazeNet
from detzoo.backbones.faceboxnet import FaceBoxNet
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.section import Section
from detzoo.recipes.paddle_faces import LITE

_SINGLES = [[24, 24], [24, 24], [24, 48, 2], [48, 48], [48, 48]]
_DOUBLES = [[48, 24, 96, 2], [96, 24, 96], [96, 24, 96], [96, 24, 96, 2], [96, 24, 96], [96, 24, 96]]
_MOST_BLOCKS, _MOST_CHANNELS = 64, 1 << 12


def blazenet(parts: Parts, given: Section) -> BlazeNet.Config:
    """``BlazeNet``, of which maps of two strides are returned."""
    given.fixed("use_5x5kernel", True)
    given.fixed("with_extra_blocks", True)
    if parts.static and given.flag("lite_edition", False):
        given.ignore("blaze_filters", "double_blaze_filters")  # it has its own
        return LITE
    singles = _blocks(given, "blaze_filters", _SINGLES, 1)
    doubles = _blocks(given, "double_blaze_filters", _DOUBLES, 2)
    settings: dict[str, Any] = {"stem": singles[0][0], "dense": parts.static}
    width = singles[0][0]
    for name, rows in (("blaze_filters", singles), ("double_blaze_filters", doubles)):
        for row in rows:
            if row[0] != width:
                given.differs(name, f"has no counterpart: a block is given {width} channels and has {row[0]}")
            width = row[-2]
    blocks = len(singles) + len(doubles)
    halved = [number for number, row in enumerate(doubles) if row[-1] == 2]
    if (parts.static and not halved) or blocks < 4:
        given.differs("double_blaze_filters", "has no counterpart; one that ends with a stride of 2 has")
    first = len(singles) + halved[-1] if parts.static else blocks - 3
    if not parts.static:
        settings["middle"] = str(given.take("act", "none")).lower()
        if settings["middle"] not in ("none", "relu", "hard_swish"):
            given.differs("act", "has no counterpart; relu, hard_swish and None have")
    settings |= {"singles": tuple(row[1:] for row in singles), "doubles": tuple(row[1:] for row in doubles)}
    return BlazeNet.Config.model_validate({**settings, "out_blocks": (first, blocks)})


def faceboxnet(parts: Parts, given: Section) -> FaceBoxNet.Config:
    """``FaceBoxNet`` of static releases."""
    given.fixed("with_extra_blocks", True)
    return FaceBoxNet.Config(lite=given.flag("lite_edition", False))


def _blocks(given: Section, name: str, usual: list[list[int]], convs: int) -> list[tuple[int, ...]]:
    """Channels of a block before it and behind each of its 1x1 ``convs``, and its stride, which may not be said."""
    rows = given.take(name, usual)
    if not isinstance(rows, list) or not 0 < len(rows) <= _MOST_BLOCKS:
        given.differs(name, f"is no list of up to {_MOST_BLOCKS} blocks")
    found = []
    for row in rows:
        whole = isinstance(row, list) and all(type(one) is int and 0 < one <= _MOST_CHANNELS for one in row)
        if not whole or len(row) not in (convs + 1, convs + 2) or (len(row) == convs + 2 and row[-1] > 2):
            given.differs(name, f"is no list of blocks, each of {convs + 1} numbers of channels and perhaps a stride")
        found.append((*row, *(() if len(row) == convs + 2 else (1,))))
    return found


__all__ = ["blazenet", "faceboxnet"]
