"""The run as curves over epochs: losses, AP and learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from detzoo.atomic import write_atomically
from detzoo.report.charts import Line

MOST_POINTS = 2000
_WIDTHS = {"plain": 1.2, "bold": 1.8, "thin": 0.8, "dashed": 1.2}


def curves_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Line]]:
    """Curves by the title of their chart; x is the epoch.

    Args:
        records: from `detzoo.train.log.read_log`.
    """
    steps = [record for record in records if record.get("event") == "train"]
    epochs = [record for record in records if record.get("event") == "epoch"]
    steps = steps[:: max(len(steps) // MOST_POINTS, 1)]
    measured = [record for record in epochs if "metrics" in record]
    names = sorted({key for r in measured for key in r["metrics"] if key.endswith("_ap") or key == r["main"]})
    scores = [Line(name, [(r["epoch"], r["metrics"].get(name)) for r in measured]) for name in names]
    rate = Line("", [(record["at"], record["lr"]) for record in steps])
    found = {"loss": _losses(steps, epochs), "AP on the validation images": scores, "learning rate": [rate]}
    return {title: [_known(line) for line in lines] for title, lines in found.items()}


def _losses(steps: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Every training loss by step, the total bold, the validation total by epoch."""
    names = sorted({name for record in steps for name in record["losses"] if "loss" in name and name != "loss"})
    lines = [Line(name, [(r["at"], r["losses"].get(name)) for r in steps], "thin") for name in names if len(names) > 1]
    lines.append(Line("total", [(r["at"], r["losses"].get("loss")) for r in steps], "bold"))
    validation = [(r["epoch"], r.get("val_losses", {}).get("loss")) for r in epochs]
    lines.append(Line("validation total", validation, "dashed", "gray"))
    return lines


def _known(line: Line) -> Line:
    """Without what was not measured, or was no finite number."""
    return Line(line.name, [(x, y) for x, y in line.points if y is not None], line.look, line.color)


def draw_curves(records: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the records of a log into a PNG file, atomically.

    Args:
        records: from `detzoo.train.log.read_log`.
        path: the file to write.
    """
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, 3), curves_of(records).items(), strict=True):
        for line in lines:
            if line.points:
                x, y = zip(*line.points, strict=True)
                style = {"linestyle": "--", "color": line.color} if line.look == "dashed" else {}
                marker = "o" if len(x) < 50 and line.look != "bold" else None
                axes.plot(x, y, linewidth=_WIDTHS[line.look], marker=marker, markersize=3, label=line.name, **style)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.locator_params(nbins=6)
        if title != "learning rate":
            axes.set_ylim(bottom=0)
        if any(line.name and line.points for line in lines):
            axes.legend(fontsize=8)
    return write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=100))


__all__ = ["curves_of", "draw_curves"]
