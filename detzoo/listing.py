"""The zoo as a table: recipes filtered and sorted, read from the index, so that torch is not imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from detzoo.recipes.index import Row, matching, rows, spelling

HEAD = ("name", "box AP", "mask AP", "size", "backbone", "params", "weights")

_ORDERS: dict[str, Callable[[Row], tuple[float, str]]] = {
    "name": lambda row: (0, row.name),
    "ap": lambda row: (-(row.box_ap or 0), row.name),
    "mask-ap": lambda row: (-(row.mask_ap or 0), row.name),
    "size": lambda row: (row.size or 0, row.name),
    "params": lambda row: (row.parameters, row.name),
}
ORDERS = tuple(_ORDERS)


def listed(
    pattern: str = "*",
    *,
    sort: str = "name",
    min_ap: float | None = None,
    max_size: int | None = None,
    max_params: float | None = None,
    backbone: str | None = None,
    weights: bool = False,
) -> list[Row]:
    """Rows of the zoo.

    Args:
        pattern: as in a shell, or a part of the name.
        sort: one of `ORDERS`: best AP first, else smallest first.
        min_ap: least published box AP, in percent.
        max_size: most pixels of the input's short edge.
        max_params: most parameters, in millions.
        backbone: a part of the backbone's title, such as ``resnet-50`` or ``x101``; ``-`` and ``_`` do not count.
        weights: only those with published weights.
    """
    table = rows()
    found = [table[name] for name in matching(table, pattern)]
    if min_ap is not None:
        found = [row for row in found if (row.box_ap or 0) >= min_ap]
    if max_size is not None:
        found = [row for row in found if row.size is not None and row.size <= max_size]
    if max_params is not None:
        found = [row for row in found if row.parameters <= max_params * 1e6]
    if backbone is not None:
        found = [row for row in found if _bare(backbone) in _bare(row.backbone) or _bare(backbone) in _short(row)]
    if weights:
        found = [row for row in found if row.weights]
    return sorted(found, key=_ORDERS[sort])


def cells(row: Row) -> tuple[str, ...]:
    """A row as the texts under `HEAD`."""
    return (
        row.name,
        _number(row.box_ap),
        _number(row.mask_ap),
        "-" if row.size is None else str(row.size),
        row.backbone,
        f"{row.parameters / 1e6:.1f}M",
        "yes" if row.weights else "-",
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Columns of text; on a narrow terminal the lines run on, so that a name can always be copied whole."""
    widths = [max(len(line[column]) for line in (head, *lines)) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *lines)
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _bare(text: str) -> str:
    return spelling(text).replace("_", "")


def _short(row: Row) -> str:
    """A title as names of the zoo write it: ``r50`` for ResNet-50, ``x101`` for ResNeXt-101."""
    return _bare(row.backbone).replace("resnext", "x").replace("resnet", "r")
