"""The run as one picture: losses, AP and learning rate over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from detzoo.atomic import write_atomically

MOST_POINTS = 2000


def draw_curves(records: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the records of a log into a PNG file, atomically.

    Args:
        records: from `detzoo.train.log.read_log`.
        path: the file to write.
    """
    steps = [record for record in records if record.get("event") == "train"]
    epochs = [record for record in records if record.get("event") == "epoch"]
    steps = steps[:: max(len(steps) // MOST_POINTS, 1)]
    figure = Figure(figsize=(15, 4.2))
    losses, scores, rates = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.04, right=0.99, top=0.93, bottom=0.12, wspace=0.14)
    _draw_losses(losses, steps, epochs)
    measured = [record for record in epochs if "metrics" in record]
    for name in sorted({key for r in measured for key in r["metrics"] if key.endswith("_ap") or key == r["main"]}):
        points = [(r["epoch"], r["metrics"][name]) for r in measured if r["metrics"].get(name) is not None]
        scores.plot([x for x, _ in points], [y for _, y in points], marker="o", markersize=3, label=name)
    scores.set_title("AP on the validation images")
    scores.set_ylim(bottom=0)
    rates.plot([record["at"] for record in steps], [record["lr"] for record in steps])
    rates.set_title("learning rate")
    for axes in (losses, scores, rates):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    return write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=100))


def _draw_losses(axes: Axes, steps: Sequence[Mapping[str, Any]], epochs: Sequence[Mapping[str, Any]]) -> None:
    """Every training loss by step, the total bold, the validation total by epoch."""
    names = sorted({name for record in steps for name in record["losses"] if "loss" in name and name != "loss"})
    for name in [*names, "loss"] if len(names) > 1 else ["loss"]:
        points = [(r["at"], r["losses"][name]) for r in steps if r["losses"].get(name) is not None]
        total = name == "loss"
        label = "total" if total else name
        axes.plot([x for x, _ in points], [y for _, y in points], linewidth=1.6 if total else 0.8, label=label)
    points = [(r["epoch"], r["val_losses"]["loss"]) for r in epochs if r.get("val_losses", {}).get("loss") is not None]
    if points:
        axes.plot(
            [x for x, _ in points], [y for _, y in points], "k--", marker="o", markersize=3, label="validation total"
        )
    axes.set_title("loss")
    axes.set_ylim(bottom=0)


__all__ = ["draw_curves"]
