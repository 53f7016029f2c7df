"""Which outputs and inputs of a layer belong to which class: what lets a head move with the names of its classes.

A part that predicts something per class says so in a table beside its layers, ``class_rows``: the layer's name within
the part, and its `ClassRows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn


class ClassRows(NamedTuple):
    """The outputs of a layer: once, or once per anchor, these rows, one after the other.

    Attributes:
        before: rows that belong to no class, as a box and an objectness.
        each: rows per class.
        after: rows that belong to no class, as that of the background.
        inputs: inputs in front of the classes' last ones, of which each has one; None: no input belongs to a class.
        shift: the row of a class is that of its number plus this, modulo their number.
        apart: in front of all anchors there is one more row for each, that belongs to no class.
        named: rows go with the classes' names; otherwise each stays where it is, as the first, if it stands for any
            class.
    """

    before: int = 0
    each: int = 1
    after: int = 0
    inputs: int | None = None
    shift: int = 0
    apart: bool = False
    named: bool = True

    def per_anchor(self, classes: int) -> int:
        """Rows of one anchor with this many classes."""
        return self.before + self.each * classes + self.after


ONE_EACH = ClassRows()
BACKGROUND_LAST = ClassRows(after=1)


def class_layers(detector: nn.Module) -> Iterator[tuple[str, ClassRows]]:
    """Every layer of a detector with rows per class, by its name in the state dict."""
    for path, part in detector.named_modules():
        for name, rows in getattr(part, "class_rows", {}).items():
            yield f"{path}.{name}".lstrip("."), rows


def moved(
    new: Tensor, old: Tensor, rows: ClassRows, classes: tuple[int, int], pairs: list[tuple[int, int]]
) -> Tensor | None:
    """A weight or bias whose classes are taken from another one.

    Args:
        new: shape ``[anchors * rows, ...]``, gives what is not taken; stays as it is.
        old: shape ``[anchors * other rows, ...]``, the same anchors.
        rows: how the first dimension of both is laid out.
        classes: how many classes ``new`` and ``old`` have.
        pairs: of each class that is taken, its number in ``new`` and in ``old``.

    Returns:
        A tensor of the shape of ``new``, with all rows of ``old`` that belong to no class, and zeros for inputs of
        classes that ``old`` has not; None where the two do not have the same anchors and other inputs.
    """
    if rows.inputs is not None and old.dim() > 1:
        if new.dim() != old.dim() or (new.shape[1] - classes[0], old.shape[1] - classes[1]) != (rows.inputs,) * 2:
            return None
        taken = old.new_zeros(len(old), *new.shape[1:])
        taken[:, : rows.inputs] = old[:, : rows.inputs]
        for mine, theirs in pairs:
            taken[:, rows.inputs + mine] = old[:, rows.inputs + theirs]
        old = taken
    here, there = rows.per_anchor(classes[0]), rows.per_anchor(classes[1])
    anchors, uneven = divmod(new.shape[0], here + rows.apart)
    if new.shape[1:] != old.shape[1:] or uneven or old.shape[0] != anchors * (there + rows.apart):
        return None
    result, first = new.clone(), anchors * rows.apart
    result[:first] = old[:first]
    target, source = result[first:].unflatten(0, (-1, here)), old[first:].to(new).unflatten(0, (-1, there))
    target[:, : rows.before] = source[:, : rows.before]
    if rows.after:
        target[:, -rows.after :] = source[:, -rows.after :]
    for mine, theirs in pairs if rows.named else [(number, number) for number in range(min(classes))]:
        mine, theirs = (mine + rows.shift) % classes[0], (theirs + rows.shift) % classes[1]
        for row in range(rows.each):
            target[:, rows.before + rows.each * mine + row] = source[:, rows.before + rows.each * theirs + row]
    return result


def background_last(value: Tensor, rows: ClassRows, wanted: int, classes: int) -> Tensor:
    """Rows ``[n, ...]`` of a layer whose class 0 is the background: now its last, or left out if fewer are wanted."""
    if rows.after and len(value) == wanted:
        return value.unflatten(0, (-1, rows.per_anchor(classes))).roll(-rows.after, 1).flatten(0, 1)
    return value[rows.each :] if not rows.after and len(value) == wanted + rows.each else value


__all__ = ["BACKGROUND_LAST", "ONE_EACH", "ClassRows", "background_last", "class_layers", "moved"]
