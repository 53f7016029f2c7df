"""The loop: batches in, a fitted detector, checkpoints, a log and curves out."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from detzoo.blocks.layers import share_statistics
from detzoo.detector import Detector
from detzoo.precision import spoilt
from detzoo.recipes.settings import Schedule
from detzoo.train.checkpoint import Best, Files, Position, SaveError, State
from detzoo.train.curves import draw_curves
from detzoo.train.distributed import Ranks, without_sync
from detzoo.train.interrupts import Interrupts
from detzoo.train.log import Log, read_log
from detzoo.train.meter import NonFiniteLoss
from detzoo.train.optimizer import set_learning_rate
from detzoo.train.progress import Display, memory_in_use
from detzoo.train.results_csv import write_results
from detzoo.train.running_statistics import RunningStatistics
from detzoo.train.schedules import lr_factor
from detzoo.train.step import compute_losses, seed_step, total_loss
from detzoo.typed import resume as resume_by
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
        callbacks: called on the first rank with every record that goes to the log; a text that one returns is why the
            run stops.
        own_network: a part of the detector is the program's own, and may have parameters that no loss reaches.
        window: steps between two looks at the losses; each look waits for the device.
        stop: what a callback has returned, once all ranks know.
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
    own_network: bool = False
    window: int = 20
    stop: str | None = None
    _pace: _Pace = field(default_factory=lambda: _Pace())
    _statistics: RunningStatistics = field(default_factory=RunningStatistics)  # as they were before the update at work
    _saved: tuple[int, ...] = ()  # the position of the last checkpoint of this process

    def record(self, record: Mapping[str, Any]) -> None:
        """Write a record to the log and hand each callback one of its own."""
        if self.log is not None:
            self.log.write(record)
            for callback in self.callbacks:
                answer = callback(copy.deepcopy(record))
                self.stop = answer if isinstance(answer, str) else self.stop


@dataclass(slots=True)
class _Pace:
    """Time spent on training steps."""

    mark: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    images: int = 0


def fit(run: Run) -> str:
    """Train from where ``run.state`` is to the end of the schedule.

    Leaves ``last.state`` and ``last.safetensors`` after every epoch and when the run is stopped by Ctrl-C, SIGTERM,
    SIGHUP or an error, at the last whole update; ``best.safetensors`` whenever a validation is better than all before.
    A signal that comes while files are written waits until they are.

    Returns:
        Why it ended, printable.

    Raises:
        NonFiniteLoss: a loss, a weight or a statistic became NaN or infinite; nothing is saved after that.
        SaveError: a checkpoint could not be written; the previous one is still there.
        KeyboardInterrupt: Ctrl-C, after saving.
        SystemExit: SIGTERM or SIGHUP, after saving.
    """
    state, schedule = run.state, run.schedule
    share_statistics(state.detector, schedule.sync_bn)
    module = run.ranks.wrap(state.detector, unused=run.own_network)
    if state.history and run.ranks.first:  # a killed run may lack the curves of its last epoch
        _show(run)
    with Interrupts(run.display.say, insist=run.ranks.world == 1) as interrupts:
        try:
            while state.position.epoch < schedule.epochs:
                if schedule.patience is not None and state.best.stale >= schedule.patience:
                    return f"stopped early: no better AP in {state.best.stale} validations"
                _train_epoch(run, module, interrupts)
                if run.stop is None or state.position.step >= len(run.loader):
                    _finish_epoch(run, interrupts)
                    run.stop = run.ranks.share(run.stop)
                if run.stop is not None:
                    with interrupts.sealed():
                        _save(run)
                    return f"stopped by a callback: {run.stop}"
                if run.ranks.world == 1:
                    interrupts.check()
        except BaseException as error:
            with interrupts.sealed():
                _leave(run, interrupts, error)
            if interrupts.requested and isinstance(error, RuntimeError):
                # a signal for the whole process group ends loader workers too, which is their failure at times
                raise KeyboardInterrupt from error
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
    run._statistics = RunningStatistics(state.detector)
    run.loader.set_epoch(position.epoch, position.step)
    run._pace.mark = time.perf_counter()
    groups = _grouped(run.loader, schedule.accumulate)
    while True:
        # one rank finishes the update it is in; several have to agree, which they do whenever they read the losses
        with nullcontext() if several else interrupts.welcome():
            batches = next(groups, None)
        if batches is None:
            return
        factor = lr_factor(schedule, position.epoch + position.step / steps, position.update, updates_per_epoch)
        set_learning_rate(state.optimizer, run.lr * factor)
        _update(run, module, batches, interrupts)
        is_due = len(state.meter) >= run.window or position.step >= steps
        if is_due and _report(run, run.lr * factor, interrupts) and several:
            run.stop = run.ranks.share(run.stop)
            if run.stop is None:
                raise KeyboardInterrupt
            return
        if not several:
            if run.stop is not None:
                return
            interrupts.check()


def _update(run: Run, module: nn.Module, batches: Sequence[Batch], interrupts: Interrupts) -> None:
    """One optimizer update from the mean gradient of ``batches``."""
    state, position = run.state, run.state.position
    run._statistics.keep()
    try:
        found = _gradients(run, module, batches)
        interrupts.whole = False
    except BaseException:  # the half of the step that was done is undone, so that what is saved is whole
        interrupts.whole = False
        with interrupts.sealed(), suppress(Exception):  # of a broken device nothing is saved
            run._statistics.put_back()
            state.optimizer.zero_grad()
            interrupts.whole = True
        raise
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


def _gradients(run: Run, module: nn.Module, batches: Sequence[Batch]) -> list[dict[str, Tensor]]:
    """Leave the mean gradient of ``batches`` in the parameters, clipped. Returns the losses of each."""
    state, schedule, position = run.state, run.schedule, run.state.position
    found: list[dict[str, Tensor]] = []
    for index, batch in enumerate(batches):
        seed_step(schedule.seed, position.epoch, position.step + index, run.ranks.rank)
        with without_sync(module, last=index == len(batches) - 1):
            losses = compute_losses(module, state.detector, batch, run.ranks.device, schedule.precision)
            state.scaler.scale(total_loss(losses) / len(batches)).backward()
        found.append({name: value.detach() for name, value in losses.items()})
    if schedule.clip_norm is not None:
        state.scaler.unscale_(state.optimizer)
        trainable = [parameter for _, parameter in state.detector.trainable()]
        norm = clip_grad_norm_(trainable, schedule.clip_norm)
        # with a scaler a gradient that overflows is no error: the scaler leaves the update out and scales by less
        found[-1]["grad_norm"] = torch.where(norm.isfinite(), norm, 0.0) if state.scaler.is_enabled() else norm
    return found


def _report(run: Run, lr: float, interrupts: Interrupts) -> bool:
    """Read the losses of the window, log and show them. Returns whether any rank wants to stop."""
    state, position, pace, steps = run.state, run.state.position, run._pace, len(run.loader)
    count = len(state.meter)
    with interrupts.sealed():  # a window that is read and not yet summed would be lost
        means, stop = state.meter.read(interrupts.requested or run.stop is not None)
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


def _finish_epoch(run: Run, interrupts: Interrupts) -> None:
    """Validate, keep the best, write the checkpoint, the log and the curves."""
    state, schedule, position = run.state, run.schedule, run.state.position
    number = position.epoch + 1
    due = bool(schedule.evaluate_every) and (number % schedule.evaluate_every == 0 or number == schedule.epochs)
    record: dict[str, Any] = {"event": "epoch", "epoch": number, "update": position.update}
    better, notes = False, ()
    # statistics of batch norm differ between ranks; what is validated and saved is rank 0's, and all go on from that
    run.ranks.share_weights(state.detector)
    if state.ema is not None:
        run.ranks.share_weights(state.ema.detector)
    _refuse_spoilt(state)
    found = None
    if run.validate is not None and due:
        with interrupts.sealed():
            _save(run)  # a crash while validating loses nothing
        with interrupts.welcome():
            found = run.validate(state.result)
    with interrupts.sealed():
        if found is not None:
            record["metrics"], record["main"] = found.metrics, found.main
            notes = found.notes
            if found.losses:
                record["val_losses"] = found.losses
            better = _keep_best(run, found)
        record["losses"] = state.meter.epoch_means()
        state.history.append(record)
        state.position = Position(number, 0, position.update)
        _save(run)
    if run.ranks.first:
        run.record(record)
        _show(run)
        run.display.epoch(record, better)
        for note in notes:
            run.display.say(f"  {note}")


def _show(run: Run) -> None:
    """The log as curves and as a table."""
    records = read_log(run.files.log)
    write_results(records, run.files.results)
    draw_curves(records, run.files.curves)


def _keep_best(run: Run, found: Validation) -> bool:
    """Write ``best`` if this validation is better than all before. Returns whether it is."""
    state, value = run.state, found.metrics[found.main]
    # below zero is COCO's word for a metric that nothing was there to measure
    measured = math.isfinite(value) and value >= 0
    if state.best.value is not None and state.best.metric != found.main:  # the run was resumed with another one
        state.best = Best()
    better = measured and (state.best.value is None or value > state.best.value)
    if better:
        if run.ranks.first:
            run.files.save_best(state)
        state.best = Best(value, state.position.epoch, metric=found.main)
    elif not value < 0:  # where nothing can be measured, training does not end early
        state.best = dataclasses.replace(state.best, stale=state.best.stale + 1)
    return better


def _save(run: Run) -> None:
    """Write ``last``, on the first rank, unless what would be written is spoilt or is there already."""
    place = dataclasses.astuple(run.state.position)
    if run.ranks.first and place != run._saved:
        _refuse_spoilt(run.state)
        run.files.save_last(run.state, len(run.loader))
        run._saved = place


def _refuse_spoilt(state: State) -> None:
    """Look at all weights and statistics, the averaged ones too.

    Raises:
        NonFiniteLoss: one is NaN or infinite; the message names it.
    """
    tensors = dict(state.detector.state_dict())
    if state.ema is not None:
        averaged = state.ema.detector.state_dict()
        tensors |= {f"{name} (averaged by schedule.ema)": tensor for name, tensor in averaged.items()}
    if names := spoilt(tensors):
        raise NonFiniteLoss(
            f"{names} became NaN or infinite before update {state.position.update + 1} although the losses were not"
        )


def _leave(run: Run, interrupts: Interrupts, error: BaseException) -> None:
    """Save what there is before ``error`` ends the run, and say how to go on. Never raises in place of ``error``,
    except that a full disk is reported.
    """
    position, say = run.state.position, run.display.say
    if not run.ranks.first or isinstance(error, SaveError):
        return
    place = f"epoch {min(position.epoch + 1, run.schedule.epochs)}/{run.schedule.epochs}, "
    place += f"step {position.step}/{len(run.loader)}"
    resume = f"go on with {resume_by(run.files.out)}"
    older = f"{run.files.state} holds the last checkpoint before that; {resume}" if run.files.state.exists() else ""
    if isinstance(error, NonFiniteLoss):
        say(f"stopped at {place}: {error}. {older}".rstrip())
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
