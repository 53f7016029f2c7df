"""The loop: batches in, a fitted detector, checkpoints, a log and curves out."""

from __future__ import annotations

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from detzoo.detector import Detector
from detzoo.recipes.settings import Schedule
from detzoo.train.checkpoint import Best, Files, Position, SaveError, State
from detzoo.train.curves import draw_curves
from detzoo.train.distributed import Ranks, without_sync
from detzoo.train.interrupts import Interrupts
from detzoo.train.log import Log, read_log
from detzoo.train.meter import NonFiniteLoss
from detzoo.train.optimizer import set_learning_rate
from detzoo.train.progress import Display, memory_in_use
from detzoo.train.schedules import lr_factor
from detzoo.train.step import compute_losses, seed_step, total_loss
from detzoo.types import Batch


class Batches(Protocol):
    """What the loop needs of a loader: the batches of an epoch depend on its number only."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Batch]: ...
    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch (0-based) that the next iteration goes through, and its first batch."""
        ...


@dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found.

    Attributes:
        metrics: by name.
        losses: validation losses by name, ``loss`` the total; empty if not measured.
        main: the metric that decides which epoch is best.
        notes: printable remarks, such as why an AP is 0.
    """

    metrics: dict[str, float]
    losses: dict[str, float]
    main: str = "box_ap"
    notes: Sequence[str] = ()


@dataclass(slots=True)
class Run:
    """What `fit` works with.

    Attributes:
        state: what changes, restored from a checkpoint or fresh.
        schedule: the settings.
        loader: this rank's training batches.
        ranks: this process's place.
        lr: learning rate after warm-up and before decay.
        files: where everything goes.
        display: what is shown.
        log: on the first rank.
        validate: measures a detector; called on every rank, and gives the same on all.
        callbacks: called on the first rank with every record that goes to the log.
        window: steps between two looks at the losses; each look waits for the device.
    """

    state: State
    schedule: Schedule
    loader: Batches
    ranks: Ranks
    lr: float
    files: Files
    display: Display
    log: Log | None = None
    validate: Callable[[Detector], Validation] | None = None
    callbacks: Sequence[Callable[[Mapping[str, Any]], object]] = ()
    window: int = 20
    _pace: _Pace = field(default_factory=lambda: _Pace())

    def record(self, record: Mapping[str, Any]) -> None:
        """Write a record to the log and hand it to the callbacks."""
        if self.log is not None:
            self.log.write(record)
            for callback in self.callbacks:
                callback(record)


@dataclass(slots=True)
class _Pace:
    """Time spent on training steps."""

    mark: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    images: int = 0


def fit(run: Run) -> str:
    """Train from where ``run.state`` is to the end of the schedule.

    Leaves ``last.state`` and ``last.safetensors`` after every epoch and when the run is stopped by Ctrl-C, SIGTERM or
    an error, at the last whole update; ``best.safetensors`` whenever a validation is better than all before.

    Returns:
        Why it ended, printable.

    Raises:
        NonFiniteLoss: a loss became NaN or infinite; nothing is saved after that.
        SaveError: a checkpoint could not be written; the previous one is still there.
        KeyboardInterrupt: Ctrl-C, after saving.
        SystemExit: SIGTERM, after saving.
    """
    state, schedule = run.state, run.schedule
    module = run.ranks.wrap(state.detector)
    with Interrupts(run.display.say, insist=run.ranks.world == 1) as interrupts:
        try:
            while state.position.epoch < schedule.epochs:
                if schedule.patience is not None and state.best.stale >= schedule.patience:
                    return f"stopped early: no better AP in {state.best.stale} validations"
                _train_epoch(run, module, interrupts)
                _finish_epoch(run)
        except BaseException as error:
            _leave(run, interrupts, error)
            if isinstance(error, KeyboardInterrupt) and interrupts.signal == signal.SIGTERM:
                raise SystemExit(128 + signal.SIGTERM) from error
            raise
    return f"all {schedule.epochs} epochs are done"


def _train_epoch(run: Run, module: nn.Module, interrupts: Interrupts) -> None:
    """The rest of the current epoch, from the state's position."""
    state, schedule, position = run.state, run.schedule, run.state.position
    steps, several = len(run.loader), run.ranks.world > 1
    updates_per_epoch = math.ceil(steps / schedule.accumulate)
    run.display.start_epoch(position.epoch, schedule.epochs, position.step, steps)
    if position.step >= steps:
        return
    state.detector.train()
    run.loader.set_epoch(position.epoch, position.step)
    run._pace.mark = time.perf_counter()
    # one rank finishes the update it is in; several have to agree, which they do whenever they read the losses
    with interrupts.held() if several else nullcontext():
        for batches in _grouped(run.loader, schedule.accumulate):
            factor = lr_factor(schedule, position.epoch + position.step / steps, position.update, updates_per_epoch)
            set_learning_rate(state.optimizer, run.lr * factor)
            with nullcontext() if several else interrupts.held():
                _update(run, module, batches, interrupts)
            if len(state.meter) >= run.window or position.step >= steps:
                if _report(run, run.lr * factor, stop=interrupts.requested):
                    raise KeyboardInterrupt
            elif not several:
                interrupts.check()


def _update(run: Run, module: nn.Module, batches: Sequence[Batch], interrupts: Interrupts) -> None:
    """One optimizer update from the mean gradient of ``batches``."""
    state, schedule, position = run.state, run.schedule, run.state.position
    found: list[dict[str, Tensor]] = []
    for index, batch in enumerate(batches):
        seed_step(schedule.seed, position.epoch, position.step + index, run.ranks.rank)
        with without_sync(module, last=index == len(batches) - 1):
            losses = compute_losses(module, state.detector, batch, run.ranks.device, schedule.autocast)
            state.scaler.scale(total_loss(losses) / len(batches)).backward()
        found.append({name: value.detach() for name, value in losses.items()})
    if schedule.clip_norm is not None:
        state.scaler.unscale_(state.optimizer)
        trainable = [parameter for _, parameter in state.detector.trainable()]
        found[-1]["grad_norm"] = clip_grad_norm_(trainable, schedule.clip_norm)
    interrupts.whole = False
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad()
    if state.ema is not None:
        state.ema.update(state.detector, position.update)
    for index, (losses, batch) in enumerate(zip(found, batches, strict=True)):
        state.meter.add(losses, position.epoch, position.step + index, batch.paths)
        run._pace.images += len(batch.ids)
    position.step += len(batches)
    position.update += 1
    interrupts.whole = True


def _report(run: Run, lr: float, stop: bool) -> bool:
    """Read the losses of the window, log and show them. Returns whether any rank wants to stop."""
    state, position, pace, steps = run.state, run.state.position, run._pace, len(run.loader)
    count = len(state.meter)
    means, stop = state.meter.read(stop)
    now = time.perf_counter()
    pace.seconds += now - pace.mark
    pace.steps += count
    left = steps * (run.schedule.epochs - position.epoch) - position.step
    memory = memory_in_use(run.ranks.device)
    record = {
        "event": "train",
        "epoch": position.epoch + 1,
        "step": position.step,
        "update": position.update,
        "at": position.epoch + position.step / steps,
        "lr": lr,
        "losses": means,
        "images_per_second": pace.images * run.ranks.world / max(now - pace.mark, 1e-9),
        "seconds_left": left * pace.seconds / pace.steps,
        "memory_mb": None if memory is None else memory / 2**20,
    }
    pace.mark, pace.images = now, 0
    run.display.step(record, position.step, steps)
    run.record(record)
    return stop


def _finish_epoch(run: Run) -> None:
    """Validate, keep the best, write the log, the curves and the checkpoint."""
    state, schedule, position = run.state, run.schedule, run.state.position
    number = position.epoch + 1
    due = bool(schedule.evaluate_every) and (number % schedule.evaluate_every == 0 or number == schedule.epochs)
    record: dict[str, Any] = {"event": "epoch", "epoch": number, "update": position.update}
    better, notes = False, ()
    # statistics of batch norm differ between ranks; what is validated and saved is rank 0's, and all go on from that
    run.ranks.share_weights(state.detector)
    if state.ema is not None:
        run.ranks.share_weights(state.ema.detector)
    if run.validate is not None and due:
        _save(run)  # a crash while validating loses nothing
        found = run.validate(state.result)
        record["metrics"], record["main"] = found.metrics, found.main
        notes = found.notes
        if found.losses:
            record["val_losses"] = found.losses
        value = found.metrics[found.main]
        better = not math.isnan(value) and (state.best.value is None or value > state.best.value)
        if better and run.ranks.first:
            run.files.save_best(state)
        state.best = (
            Best(value, position.epoch, metric=found.main)
            if better
            else dataclasses.replace(state.best, stale=state.best.stale + 1)
        )
    record["losses"] = state.meter.epoch_means()
    state.history.append(record)
    state.position = Position(number, 0, position.update)
    if run.ranks.first:
        _save(run)
        run.record(record)
        draw_curves(read_log(run.files.log), run.files.curves)
        run.display.epoch(record, better)
        for note in notes:
            run.display.say(f"  {note}")


def _save(run: Run) -> None:
    """Write ``last``, unless the weights are spoilt."""
    if not run.ranks.first:
        return
    sums = torch.stack([parameter.detach().float().sum() for parameter in run.state.detector.parameters()])
    if not bool(sums.isfinite().all()):
        raise NonFiniteLoss(
            f"weights became NaN or infinite before update {run.state.position.update + 1} although the losses were not"
        )
    run.files.save_last(run.state, len(run.loader))


def _leave(run: Run, interrupts: Interrupts, error: BaseException) -> None:
    """Save what there is before ``error`` ends the run, and say how to go on. Never raises in place of ``error``,
    except that a full disk is reported.
    """
    position, say = run.state.position, run.display.say
    if not run.ranks.first or isinstance(error, SaveError):
        return
    place = f"epoch {min(position.epoch + 1, run.schedule.epochs)}/{run.schedule.epochs}, "
    place += f"step {position.step}/{len(run.loader)}"
    resume = f"go on with train(..., out={str(run.files.out)!r}, resume=True)"
    older = f"{run.files.state} holds the last checkpoint before that; {resume}" if run.files.state.exists() else ""
    if isinstance(error, NonFiniteLoss):
        say(f"stopped at {place}: a loss is not finite. {older}".rstrip())
        say(
            "what helps: a lower schedule.lr, a longer schedule.warmup_steps, schedule.clip_norm, checking these images"
        )
        return
    if not interrupts.whole:
        say(f"stopped within an update at {place}, so nothing was saved. {older}".rstrip())
        return
    try:
        if run.ranks.world == 1:
            run.state.meter.read()
        else:
            run.state.meter.check()
        _save(run)
    except SaveError:
        raise
    except Exception as problem:  # a broken device cannot be read; the first error is the one that matters
        say(f"stopped at {place}; saving failed too ({problem}). {older}".rstrip())
        return
    say(f"stopped at {place}; everything up to there is in {run.files.state}; {resume}")


def _grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of ``size`` batches, the last one shorter."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group


__all__ = ["Batches", "Run", "Validation", "fit"]
