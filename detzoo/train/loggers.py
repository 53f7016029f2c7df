"""Other programs' displays of a run: a closed table of names, each a small adapter, each imported only when asked for.

What goes to the log as JSON lines goes to them as numbers by step. Where they keep them, and whether they reach for a
network at all, is said to them in their own words: ``WANDB_MODE=offline``, ``MLFLOW_TRACKING_URI=file:...``,
``TRACKIO_DIR``.
"""

from __future__ import annotations

import importlib.util
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from detzoo.atomic import write_atomically
from detzoo.config import ConfigError
from detzoo.paths import flat
from detzoo.suggest import unknown
from detzoo.terminal import printable

PROJECT = "detzoo"  # under which wandb, MLflow and Trackio file a run


class Logger(Protocol):
    """What an adapter does."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Take numbers by name; ``step`` counts updates."""
        ...

    def close(self, failed: bool) -> None:
        """Finish, whether the run went well or not."""
        ...


class TensorBoard:
    """Event files in the folder ``tensorboard`` of the run."""

    def __init__(self, run: Opened) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(str(run.out / "tensorboard"), purge_step=run.update + 1 if run.update else None)
        self._writer.add_text("settings", "\n".join(f"    {name}={value}" for name, value in run.settings.items()))

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Each its own curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, failed: bool) -> None:
        """Write what is left."""
        self._writer.close()


class Wandb:
    """A run of Weights & Biases; a resumed one goes on."""

    def __init__(self, run: Opened) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        number = run.ids.setdefault("wandb", uuid.uuid4().hex[:12])
        self._run = wandb.init(
            project=PROJECT, name=run.out.name, id=number, resume="allow", dir=str(run.out), config=run.settings
        )

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """In one row."""
        self._run.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        """Send what is left."""
        self._run.finish(exit_code=int(failed))


class MLflow:
    """A run of MLflow; a resumed one goes on."""

    def __init__(self, run: Opened) -> None:
        from mlflow.entities import Metric, Param  # pyright: ignore[reportMissingImports]
        from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

        self._client, self._metric = MlflowClient(), Metric
        known = self._client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known is not None else self._client.create_experiment(PROJECT)
        if "mlflow" not in run.ids:
            run.ids["mlflow"] = self._client.create_run(experiment, run_name=run.out.name).info.run_id
            params = [Param(name, str(value)[:500]) for name, value in run.settings.items()]
            for first in range(0, len(params), 100):  # as many as it takes at once
                self._client.log_batch(run.ids["mlflow"], params=params[first : first + 100])
        self._run = run.ids["mlflow"]

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """In one batch."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, failed: bool) -> None:
        """Mark the run as finished or failed."""
        self._client.set_terminated(self._run, "FAILED" if failed else "FINISHED")


class Trackio:
    """A run of Trackio; a resumed one goes on."""

    def __init__(self, run: Opened) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self._trackio = trackio
        name = run.ids.setdefault("trackio", f"{run.out.name}-{uuid.uuid4().hex[:6]}")
        trackio.init(project=PROJECT, name=name, resume="allow", config=run.settings)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """In one row."""
        self._trackio.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        """Write what is left."""
        self._trackio.finish()


# what is asked for, the module that it needs and its adapter; csv is written anyway
LOGGERS: dict[str, tuple[str, Callable[[Opened], Logger]] | None] = {
    "csv": None,
    "tensorboard": ("tensorboard", TensorBoard),
    "wandb": ("wandb", Wandb),
    "mlflow": ("mlflow", MLflow),
    "trackio": ("trackio", Trackio),
}


class Opened:
    """What an adapter knows of the run.

    Attributes:
        out: folder of the run.
        settings: the recipe, flat.
        update: updates done before, 0 in a new run.
        ids: under which names loggers know the run, kept in its folder.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], update: int) -> None:
        self.out, self.update = out, update
        self.settings = {name: value if value is not None else "null" for name, value in flat(settings).items()}
        self._file = out / "loggers.json"
        kept = json.loads(self._file.read_text(encoding="utf-8")) if update and self._file.exists() else {}
        self.ids: dict[str, str] = kept

    def keep(self) -> None:
        """Write the names into the folder, for whoever resumes the run."""
        if self.ids:
            text = json.dumps(self.ids, indent=2) + "\n"
            write_atomically(self._file, lambda path: path.write_text(text, encoding="utf-8"))


def check_loggers(names: str | Iterable[str]) -> list[str]:
    """The names, each known, once, and installed.

    Raises:
        ConfigError: there is no such logger.
        ModuleNotFoundError: its package is not installed; the message says how to.
    """
    chosen = list(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in chosen:
        if name not in LOGGERS:
            raise ConfigError(f"loggers: {unknown(name, tuple(LOGGERS), 'logger')}; there are {', '.join(LOGGERS)}")
        entry = LOGGERS[name]
        if entry is not None and importlib.util.find_spec(entry[0]) is None:
            raise ModuleNotFoundError(f"the logger {name} needs {entry[0]}: pip install 'detzoo[{name}]'")
    return chosen


def open_loggers(
    names: Iterable[str],
    out: Path,
    settings: Mapping[str, Any],
    update: int,
    stack: ExitStack,
    say: Callable[[str], object],
) -> list[Callable[[Mapping[str, Any]], None]]:
    """One callback for the records of a run per logger, closed with ``stack``.

    A logger that fails later, as when a server is gone, is said and left out from then on: training goes on.

    Args:
        names: from `check_loggers`.
        out: folder of the run.
        settings: the recipe.
        update: updates done before.
        stack: what closes them.
        say: shows a line.
    """
    run = Opened(out, settings, update)
    callbacks = []
    for name in names:
        entry = LOGGERS[name]
        if entry is not None:
            guarded = _Guarded(name, entry[1](run), say)
            stack.push(guarded.leave)
            callbacks.append(guarded)
    run.keep()
    return callbacks


class _Guarded:
    """A logger whose failure ends no training."""

    def __init__(self, name: str, logger: Logger, say: Callable[[str], object]) -> None:
        self._name, self._logger, self._say = name, logger, say
        self._fine = True

    def __call__(self, record: Mapping[str, Any]) -> None:
        values = numbers(record)
        if values:
            self._try(lambda: self._logger.numbers(values, record["update"]))

    def leave(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it."""
        self._try(lambda: self._logger.close(failed=kind is not None))

    def _try(self, call: Callable[[], object]) -> None:
        if not self._fine:
            return
        try:
            call()
        except Exception as error:
            self._fine = False
            self._say(printable(f"WARNING: the logger {self._name} failed and is left out from now on: {error}"))


def numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record of the log, by names with a slash for groups; those that do not exist are left out."""
    groups: dict[str, Mapping[str, Any]] = {}
    if record["event"] == "train":
        groups = {"train/": record["losses"], "": {name: record[name] for name in _PACE}}
    elif record["event"] == "epoch":
        groups = {"val/": record.get("metrics", {}), "val_loss/": record.get("val_losses", {})}
        groups[""] = {"epoch": record["epoch"]}
    found = {prefix + name: value for prefix, values in groups.items() for name, value in values.items()}
    return {name: float(value) for name, value in found.items() if value is not None}


_PACE = ("lr", "images_per_second", "memory_mb")

__all__ = ["LOGGERS", "check_loggers", "numbers", "open_loggers"]
