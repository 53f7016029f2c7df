"""What an evaluation found: numbers, a table per class, and what to look at when they are bad."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detzoo.atomic import write_atomically
from detzoo.terminal import printable
from detzoo.typed import argument
from detzoo.user_path import user_path

_HEADINGS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP small",
    "ap_medium": "AP medium",
    "ap_large": "AP large",
    "ap_rare": "AP rare",
    "ap_common": "AP common",
    "ap_frequent": "AP frequent",
    "ar1": "AR1",
    "ar10": "AR10",
    "ar100": "AR100",
    "ar300": "AR300",
    "ar1000": "AR1000",
    "ar_small": "AR small",
    "ar_medium": "AR medium",
    "ar_large": "AR large",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Results of `evaluate`.

    Attributes:
        metrics: numbers in [0, 1] by name, such as ``box_ap`` and ``mask_ap50``; -1 where the data cannot say.
        per_class: one dict per class: ``name``, ``objects``, ``detections`` and its numbers; empty for proposals.
        main: the name in ``metrics`` that says how good the detector is.
        metric: ``coco``, ``lvis``, ``voc``, ``voc07`` or ``proposals``.
        images: how many images were looked at.
        objects: how many objects there were to find.
        seconds: how long detection took, loading included.
        notes: what stands out, above all why an AP is 0.
    """

    metrics: dict[str, float]
    per_class: list[dict[str, Any]]
    main: str
    metric: str
    images: int
    objects: int
    seconds: float
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """As `summary`, for ``print``."""
        return self.summary()

    def summary(self) -> str:
        """The report as a table of plain text; control characters in names are shown, such as ``\\x1b``, not sent."""
        rate = self.images / self.seconds if self.seconds > 0 else 0.0
        lines = [f"{self.images} images, {self.objects} objects, {rate:.1f} images/s, metric {self.metric}", ""]
        shown = [name for name in self.metrics if name.startswith(("box_", "mask_", "proposal_"))]
        kinds = list(dict.fromkeys(name.partition("_")[0] for name in shown))
        names = list(dict.fromkeys(name.partition("_")[2] for name in shown))
        rows = [[kind, *(_number(self.metrics.get(f"{kind}_{name}")) for name in names)] for kind in kinds]
        lines += _table(["", *(_HEADINGS.get(name, name) for name in names)], rows)
        own = [f"{printable(name)} {_number(value)}" for name, value in self.metrics.items() if name not in shown]
        lines += ["", *own] if own else []
        columns = [name for name in (self.per_class[0] if self.per_class else {}) if name != "name"]
        if columns:
            heads = [" ".join(_HEADINGS.get(part, part) for part in column.split("_", 1)) for column in columns]
            rows = [[printable(row["name"]), *(_number(row[column]) for column in columns)] for row in self.per_class]
            lines += ["", *_table(["class", *heads], rows)]
        if self.notes:
            lines += ["", *(f"- {printable(note)}" for note in self.notes)]
        return "\n".join(lines)

    def save(self, path: str | Path) -> Path:
        """Write the report as JSON; into ``report.json`` if ``path`` is not a ``.json`` file. Returns the file.

        Raises:
            OSError: the file cannot be written; what was there is unchanged.
        ValueError: as `report_file`.
        """
        file = report_file(path)
        text = json.dumps(plain(dataclasses.asdict(self)), indent=2)
        return write_atomically(file, lambda temporary: temporary.write_text(text + "\n", encoding="utf-8"))


def report_file(path: str | Path) -> Path:
    """The file that `Report.save` writes: ``path`` if it is a ``.json`` file, else ``report.json`` in it.

    Raises:
        ValueError: it is called as a file of another kind.
    """
    path = user_path(path)
    if path.suffix.lower() == ".json":
        return path
    if path.suffix[1:].isalpha() and not path.is_dir():
        raise ValueError(f"{argument('out', path)} is neither the name of a .json file nor of a folder")
    return path / "report.json"


def check_suffix(path: str | Path, suffix: str, what: str) -> None:
    """Raise where a file that the argument ``what`` names is called as one of another kind.

    Raises:
        ValueError: it is.
    """
    if user_path(path).suffix.lower() != suffix:
        raise ValueError(f"{argument(what, path)} is not the name of a {suffix} file, as which it would be written")


def plain(value: Any) -> Any:
    """The same with null for numbers that JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _number(value: float | int | None) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if value is None or value < 0 else f"{value:.4f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(line[column]) for line in [heads, *rows]) for column in range(len(heads))]
    lines = []
    for line in [heads, *rows]:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
