"""The outlines of masks as polygons along the edges of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detzoo.ops.masks import windows
from detzoo.types import Detections

# right, down, left, up as x and y: the order of clockwise turns, as y points down
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def mask_outlines(found: Detections) -> list[list[NDArray[np.float32]]] | None:
    """The outlines of one image's masks; None for a detector without masks.

    Returns:
        Per mask the arrays that `outlines` gives.

    Raises:
        ValueError: mask crops come without a canvas.
    """
    if found.crops is not None:
        if found.canvas is None:
            raise ValueError("mask crops need a canvas to be pasted on")
        parts = windows(found.crops.cpu(), found.mask_boxes.cpu(), found.canvas, found.mask_threshold)
        return [outlines(inside.numpy(), top, left) for top, left, inside in parts]
    if found.dense is not None:
        return [outlines(mask.cpu().numpy()) for mask in found.dense]
    return None


def outlines(inside: NDArray[np.bool_], top: int = 0, left: int = 0) -> list[NDArray[np.float32]]:
    """The outlines of one mask; pixels that touch at a corner only belong to different parts.

    Args:
        inside: bool ``(h, w)``.
        top: row of its first pixel.
        left: column of its first pixel.

    Returns:
        float32 ``(P, 2)`` x and y of the corners of each outline: clockwise as seen around a part, the other way around
        a hole, so that the signed areas add up to the number of pixels inside.
    """
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return []
    first_row, first_column = int(rows[0]), int(columns[0])
    framed = np.pad(inside[first_row : rows[-1] + 1, first_column : columns[-1] + 1], 1)
    edges = _edges(framed)
    found = []
    while edges:
        corners = _follow(edges)
        found.append(
            np.array(corners, dtype=np.float32) + np.array([left + first_column, top + first_row], dtype=np.float32)
        )
    return found


def _edges(framed: NDArray[np.bool_]) -> dict[tuple[int, int, int], None]:
    """Edges between inside and outside as (x, y, direction) of their start, with the inside to their right.

    Args:
        framed: bool ``(h + 2, w + 2)``, with a frame that is outside.
    """
    core = framed[1:-1, 1:-1]
    outside = (framed[:-2, 1:-1], framed[1:-1, 2:], framed[2:, 1:-1], framed[1:-1, :-2])  # above, right, below, left
    starts = ((0, 0), (1, 0), (1, 1), (0, 1))  # corner of the pixel that each of its four edges starts from
    edges: dict[tuple[int, int, int], None] = {}
    for direction, (beside, (right, down)) in enumerate(zip(outside, starts, strict=True)):
        rows, columns = np.nonzero(core & ~beside)
        for x, y in zip((columns + right).tolist(), (rows + down).tolist(), strict=True):
            edges[x, y, direction] = None
    return edges


def _follow(edges: dict[tuple[int, int, int], None]) -> list[tuple[int, int]]:
    """Take one closed outline out of ``edges`` and return its corners."""
    x, y, direction = next(iter(edges))
    corners: list[tuple[int, int]] = []
    while (x, y, direction) in edges:
        del edges[x, y, direction]
        x, y = x + STEPS[direction][0], y + STEPS[direction][1]
        # to the right first: where two pixels touch at a corner, stay with this one
        for turned in ((direction + 1) % 4, direction, (direction + 3) % 4):
            if (x, y, turned) in edges:
                break
        else:
            turned = -1  # the way is closed
        if turned != direction:
            corners.append((x, y))
            direction = turned
    return corners
