"""The whole state of a run in one file, and the files a run leaves behind.

``last.state`` alone resumes a run: weights, averaged weights, optimizer memory, gradient scaler, position and best AP
are in that one file, so a crash between two writes cannot leave halves that do not fit. ``last.safetensors`` and
``best.safetensors`` are for use: `detzoo.load` rebuilds a detector from either.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from detzoo.atomic import remove_leftovers, write_atomically
from detzoo.config import to_json
from detzoo.detector import Detector
from detzoo.recipes.files import CheckpointError
from detzoo.train.ema import Ema
from detzoo.train.meter import Meter
from detzoo.train.optimizer import load_optimizer_state, load_shared_memory, optimizer_state, shared_memory
from detzoo.typed import argument
from detzoo.typed import resume as resume_by

FORMAT, VERSION = "detzoo training state", 1
_ZIP = b"PK\x03\x04"  # how the archives begin that torch writes
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class SaveError(OSError):
    """A checkpoint could not be written; the message says why and what is still there."""


@dataclass(slots=True)
class Position:
    """How far a run is: always between two updates.

    Attributes:
        epoch: 0-based.
        step: loader batches of this epoch that are done.
        update: optimizer updates done in all.
    """

    epoch: int = 0
    step: int = 0
    update: int = 0


@dataclass(slots=True)
class Best:
    """The best validation so far.

    Attributes:
        value: its main metric, or None before the first.
        epoch: 0-based.
        stale: validations since.
        metric: name of the main metric.
    """

    value: float | None = None
    epoch: int = -1
    stale: int = 0
    metric: str = "box_ap"


@dataclass(slots=True)
class State:
    """Everything that changes during a run."""

    detector: Detector
    optimizer: Optimizer
    scaler: GradScaler
    meter: Meter
    ema: Ema | None = None
    position: Position = field(default_factory=Position)
    best: Best = field(default_factory=Best)
    history: list[dict[str, Any]] = field(default_factory=list)
    given: str | None = None  # JSON of the recipe that the run began with, before what was typed beside it
    own: dict[str, list[str]] = field(default_factory=dict)  # names of what the program has passed in
    made: list[dict[str, Any]] | None = None  # what the groups of the program's own optimizer held when it was new
    # where the run began, as relative paths in its recipe are meant
    folder: str = field(default_factory=lambda: str(Path.cwd()))

    @property
    def result(self) -> Detector:
        """The detector that is validated and saved for use: the averaged one where there is one."""
        return self.ema.detector if self.ema else self.detector


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a run, below one folder."""

    out: Path

    @property
    def state(self) -> Path:
        """Everything needed to resume."""
        return self.out / "last.state"

    @property
    def last(self) -> Path:
        """The detector after the last epoch, or where the run was stopped."""
        return self.out / "last.safetensors"

    @property
    def best(self) -> Path:
        """The detector with the best validation AP."""
        return self.out / "best.safetensors"

    @property
    def log(self) -> Path:
        """One JSON object per line."""
        return self.out / "log.jsonl"

    @property
    def recipe(self) -> Path:
        """Every setting of the run, as JSON."""
        return self.out / "recipe.json"

    @property
    def curves(self) -> Path:
        """Losses, AP and learning rate as a picture."""
        return self.out / "curves.png"

    @property
    def results(self) -> Path:
        """The epochs as a table."""
        return self.out / "results.csv"

    @property
    def report(self) -> Path:
        """The page about the run."""
        return self.out / "report.html"

    def tidy(self) -> None:
        """Remove what a killed process left half written."""
        files = (self.state, self.last, self.best, self.log, self.curves, self.results, self.report, self.recipe)
        remove_leftovers(self.out, [path.name for path in files])

    def save_last(self, state: State, steps_per_epoch: int) -> None:
        """Write ``last.state``, then ``last.safetensors``.

        Raises:
            SaveError: one of them cannot be written; the message says what is still there.
        """
        contents = _contents(state, steps_per_epoch)
        self._write(self.state, lambda: write_atomically(self.state, lambda path: _write_state(contents, path)))
        self._write(self.last, lambda: _save_detector(state.result, self.last))

    def save_best(self, state: State) -> None:
        """Write ``best.safetensors``.

        Raises:
            SaveError: it cannot be written; the message says what is still there.
        """
        self._write(self.best, lambda: _save_detector(state.result, self.best))

    def _write(self, path: Path, write: Callable[[], object]) -> None:
        existed = path.exists()
        try:
            write()
        except OSError as error:
            reason = error.strerror or str(error)
            if str(path) not in reason:
                reason = f"could not write {path} ({reason})"
            kept = f"the previous {path.name} is whole and unchanged" if existed else f"there was no {path.name} before"
            mend = f"make room and go on with {resume_by(self.out)}" if self.state.exists() else "make room"
            raise SaveError(error.errno, f"{reason}\ntraining stopped: {kept}; {mend}") from error


def _write_state(contents: dict[str, Any], path: Path) -> None:
    """`torch.save` that fails with the operating system's reason."""
    with path.open("wb") as file:
        try:
            torch.save(contents, file)
        except RuntimeError as error:  # torch's own words hide that the disk is full
            reason: BaseException | None = error
            while reason is not None and not isinstance(reason, OSError):
                reason = reason.__context__
            raise reason or OSError(errno.EIO, str(error)) from error


def _save_detector(detector: Detector, path: Path) -> None:
    """`Detector.save` that fails with the operating system's reason."""
    try:
        detector.save(path)
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        number = int(code[1]) if code else errno.EIO
        raise OSError(number, os.strerror(number) if code else str(error)) from error


def _contents(state: State, steps_per_epoch: int) -> dict[str, Any]:
    recipe = state.detector.recipe
    return {
        "format": FORMAT,
        "version": VERSION,
        "recipe": to_json(recipe, indent=None) if recipe is not None else None,
        "given": state.given,
        "folder": state.folder,
        "own": state.own,
        "classes": list(state.detector.classes),
        "weights": state.detector.state_dict(),
        "averaged": state.ema.detector.state_dict() if state.ema else None,
        "optimizer": optimizer_state(state.optimizer, state.detector),
        "shared": None if state.made is None else shared_memory(state.optimizer, state.detector, state.made),
        "trainable": [name for name, _ in state.detector.trainable()],
        "scaler": state.scaler.state_dict(),
        "position": dataclasses.asdict(state.position),
        "steps_per_epoch": steps_per_epoch,
        "best": dataclasses.asdict(state.best),
        "sums": state.meter.sums,
        "summed_steps": state.meter.steps,
        "history": state.history,
    }


def read_state(path: Path) -> dict[str, Any]:
    """The contents of a ``last.state``, on the CPU. Nothing in the file is executed.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is cut short, damaged, something else, or of a later version.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"nothing to resume: {path} does not exist; leave out {argument('resume')} to start a new run"
        )
    mend = f"resume from a copy, or start anew from {argument('weights', path.with_suffix('.safetensors'))}"
    with path.open("rb") as file:
        start = file.read(len(_ZIP))
    if not _ZIP.startswith(start):
        raise CheckpointError(f"{path} is not a training state of detzoo; {mend}")
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, UnpicklingError, LookupError, TypeError) as error:
        # torch says at length, and in colours, how to run what a file brings along
        foreign = re.search(r"Unsupported \w+: (?:GLOBAL )?(\S+)", _COLOURS.sub("", str(error)))
        if foreign is not None and is_zipfile(path):
            raise CheckpointError(
                f"{path} is not a training state of detzoo: it holds objects of another program ({foreign[1]}), and "
                f"nothing that a file brings along is run; {mend}"
            ) from None
        size = path.stat().st_size
        reason = _COLOURS.sub("", str(error)).strip().split("\n")[0].split(". ")[0]
        if isinstance(error, UnpicklingError) or not reason:
            reason = "its description cannot be read"
        raise CheckpointError(f"{path} ({size} bytes) is cut short or damaged ({reason[:200]}); {mend}") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a training state of detzoo; {mend}")
    if contents["version"] > VERSION:
        raise CheckpointError(f"{path} was written by a later detzoo (version {contents['version']}); update detzoo")
    return contents


def restore(
    state: State, contents: dict[str, Any], path: Path, steps_per_epoch: int, *, keep_memory: bool = True
) -> None:
    """Put a run back to where `Files.save_last` left it.

    Args:
        state: of a run that was set up with the same recipe.
        contents: from `read_state`.
        path: for messages.
        steps_per_epoch: of this run; a run that stopped within an epoch can only go on with the same number.
        keep_memory: give the optimizer what it remembered; False: it is another one, and begins anew.

    Raises:
        CheckpointError: model, classes, trainable parameters or steps per epoch differ.
    """
    if tuple(contents["classes"]) != state.detector.classes:
        raise CheckpointError(
            f"{path} was trained on the classes {contents['classes']}, the data has {list(state.detector.classes)}; "
            f"to fine-tune start a new run with {argument('weights', path.with_suffix('.safetensors'))}"
        )
    position = Position(**contents["position"])
    if 0 < position.step < contents["steps_per_epoch"] != steps_per_epoch:
        raise CheckpointError(
            f"{path} stopped at step {position.step} of {contents['steps_per_epoch']} in an epoch, but an epoch now "
            f"has {steps_per_epoch} steps; resume with the same data, batch and number of devices"
        )
    if position.step >= contents["steps_per_epoch"]:
        position.step = steps_per_epoch
    averaged = contents["averaged"]
    if (averaged is None) != (state.ema is None):
        raise CheckpointError(
            f"{path}: schedule.ema was {'off' if averaged is None else 'on'} and now is not; set it back"
        )
    try:
        state.detector.load_state_dict(contents["weights"])
        if state.ema is not None and averaged is not None:
            state.ema.detector.load_state_dict(averaged)
        if keep_memory:
            load_optimizer_state(state.optimizer, state.detector, contents["optimizer"], contents.get("trainable"))
            if contents.get("shared"):
                load_shared_memory(state.optimizer, state.detector, contents["shared"])
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit this recipe's model: {error}") from None
    if contents["scaler"] and state.scaler.is_enabled():
        state.scaler.load_state_dict(contents["scaler"])
    state.position = position
    state.best = Best(**contents["best"])
    state.history = contents["history"]
    state.folder = contents.get("folder") or state.folder
    state.meter.sums, state.meter.steps = contents["sums"], contents["summed_steps"]


__all__ = ["Best", "Files", "Position", "SaveError", "State", "read_state", "restore"]
