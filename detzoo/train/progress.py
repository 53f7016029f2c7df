"""What a run shows: lines and tables, and a bar with images per second, time left and memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

LINE_EVERY = 60.0  # seconds between lines where there is no terminal to draw a bar on
MOST_ROWS = 100


def memory_in_use(device: torch.device) -> int | None:
    """Peak bytes: allocated on a CUDA device, else resident in this process; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Display:
    """Prints and draws, on the first rank only. Use as a context."""

    def __init__(self, show: bool, bar: bool, console: Console | None = None) -> None:
        """Begin.

        Args:
            show: print at all.
            bar: with a progress bar, or with regular lines where there is no terminal.
            console: where to; None: the standard output.
        """
        self._console = console or Console(quiet=not show, soft_wrap=True)
        self._lines = show and bar and not self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[info]}"),
            console=self._console,
            disable=not (show and bar and self._console.is_terminal),
        )
        self._task: TaskID | None = None
        self._next_line = time.monotonic() + LINE_EVERY

    def __enter__(self) -> Self:
        with self._unheard():
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._unheard():
            self._progress.stop()

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        """A closed terminal ends no training before it has saved: from then on nothing is shown."""
        try:
            yield
        except OSError:
            self._console.quiet = True

    def say(self, text: str) -> None:
        """Print a line as it is."""
        with self._unheard():
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def classes(self, rows: Iterable[tuple[str, int, int, int]]) -> None:
        """Print the class table: name, images, objects, ignored objects."""
        table = Table("class", title="training data", title_justify="left")
        for column in ("images", "objects", "ignored"):
            table.add_column(column, justify="right")
        rows = list(rows)
        for name, *numbers in rows[:MOST_ROWS]:
            table.add_row(name, *(str(number) for number in numbers))
        with self._unheard():
            self._console.print(table, markup=False)
        if len(rows) > MOST_ROWS:
            self.say(f"and {len(rows) - MOST_ROWS} more classes; all of them are in the log")
        unseen = [name for name, _, objects, _ in rows if not objects]
        if unseen:
            self.say(f"no object to learn from: {', '.join(unseen[:10])}{' ...' if len(unseen) > 10 else ''}")

    def images(self, used: int, dropped: int, validation: int) -> None:
        """Print how many images there are to train on, are left out of that, and are validated on."""
        left = f" ({dropped} more are left out)" if dropped else ""
        self.say(f"{used} training images{left}, {validation or 'no'} validation images")

    def start_epoch(self, epoch: int, epochs: int, done: int, steps: int) -> None:
        """Begin the bar of an epoch (0-based) with ``done`` of ``steps`` behind it."""
        with self._unheard():
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(f"epoch {epoch + 1}/{epochs}", total=steps, completed=done, info="")

    def step(self, record: Mapping[str, Any], done: int, steps: int) -> None:
        """Move the bar, or print a line now and then, from a ``train`` record."""
        memory = f"  {record['memory_mb'] / 1024:.1f} GB" if record["memory_mb"] is not None else ""
        left = timedelta(seconds=round(record["seconds_left"]))
        info = f"loss {record['losses']['loss']:.3f}  {record['images_per_second']:.1f} img/s  {left} left{memory}"
        if self._task is not None:
            with self._unheard():
                self._progress.update(self._task, completed=done, info=info)
        if self._lines and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY
            self.say(f"epoch {record['epoch']}, step {done}/{steps}: {info}")

    def epoch(self, record: Mapping[str, Any], better: bool) -> None:
        """Print the line that sums up an epoch."""
        parts = [f"epoch {record['epoch']}: loss {record['losses'].get('loss', float('nan')):.4f}"]
        if "val_losses" in record:
            parts.append(f"validation loss {record['val_losses']['loss']:.4f}")
        shown = [name for name in record.get("metrics", {}) if name.endswith("_ap") or name == record["main"]]
        parts += [f"{name} {record['metrics'][name]:.4f}" for name in shown]
        self.say(", ".join(parts) + (" (best so far)" if better else ""))


__all__ = ["Display", "memory_in_use"]
