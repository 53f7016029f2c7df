"""`train`: from a recipe and data to a fitted detector."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

import detzoo
from detzoo.atomic import write_atomically
from detzoo.config import Config, ConfigError, flatten, from_json, override, paths_of, to_json
from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.image_check import find_broken, settle
from detzoo.data.loader import make_loader
from detzoo.data.source import as_data
from detzoo.data.table import ClassRow, class_table
from detzoo.detector import Detector
from detzoo.evaluate.run import evaluate
from detzoo.recipes.download import Unreachable
from detzoo.recipes.files import CheckpointError, read
from detzoo.recipes.recipe import Init, Recipe, method_of
from detzoo.recipes.settings import Data
from detzoo.recipes.zoo import build, find, load
from detzoo.train.allocator import keep_freed_memory
from detzoo.train.checkpoint import Files, State, read_state, restore
from detzoo.train.distributed import Ranks, join
from detzoo.train.ema import Ema
from detzoo.train.fit import Run, Validation, fit
from detzoo.train.heads import load_init, load_matching
from detzoo.train.interrupts import Interrupts
from detzoo.train.lock import FolderInUse, lock
from detzoo.train.log import Log
from detzoo.train.meter import Meter
from detzoo.train.optimizer import learning_rate, make_optimizer
from detzoo.train.progress import Display
from detzoo.train.schedules import warnings
from detzoo.train.validation import validation_losses

# what of a recipe's data settings says where its images are; the others say how they are varied and hold for any data
_ELSEWHERE = {
    name: Data.model_fields[name].default
    for name in ("kind", "root", "train", "val", "val_fraction", "classes", "metric")
}


@dataclass(frozen=True, slots=True)
class Trained:
    """What `train` leaves.

    Attributes:
        detector: with the best weights, or the last where nothing was validated; in evaluation mode.
        history: one dict per epoch: ``epoch`` (1-based), ``update``, ``losses``, and where validated ``metrics`` and
            ``val_losses``.
        ended: why training ended, as a sentence.
        out: the folder of the run.
        best: weights of the best epoch, or None where nothing was validated.
        last: weights of the last epoch.
        log: one JSON object per line.
        curves: losses, AP and learning rate as a PNG picture.
    """

    detector: Detector = field(repr=False)
    history: list[dict[str, Any]] = field(repr=False)
    ended: str
    out: Path
    best: Path | None
    last: Path
    log: Path
    curves: Path


def train(
    recipe: str | Recipe,
    data: Any = None,
    out: str | Path | None = None,
    *,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    val: float | None = None,
    resume: bool = False,
    device: str | torch.device | None = None,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    callbacks: Sequence[Callable[[Mapping[str, Any]], object]] = (),
    progress: bool = True,
    **settings: Any,
) -> Trained:
    """Train a detector. The classes come from the data.

    Started by ``torchrun`` or ``accelerate launch`` it trains on several devices or nodes; ``out`` must then be a
    folder that all nodes see. What is equal to one device, and what is not, is said in `detzoo.train.distributed`.

    Args:
        recipe: a name from the zoo, or a `Recipe`.
        data: what `detzoo.data.source.as_data` takes; None: the recipe's. How images are varied (sizes, flip, masks,
            ...) stays as the recipe has it, unless said here.
        out: folder of the run; None: ``runs/<name>``, or with a number behind it if that exists.
        weights: what to start from: a zoo name, a file that detzoo wrote, or a state dict. Tensors of another shape,
            as the head for another number of classes, are not taken, and named. None: the recipe's ``init``, usually a
            backbone trained on ImageNet, which is fetched into the cache; where that cannot be had, this is said and
            training starts from random weights, as it does with ``init=null`` among the overrides.
        val: part of the training images to keep for validation, such as 0.2, where the data has no others for it: the
            same images every time. It is ``data.val_fraction`` of the recipe.
        resume: go on with the run in ``out`` exactly where it stopped; ``schedule.epochs`` may have grown.
        device: None: CUDA, else MPS, else CPU.
        overrides: ``a.b.c=value`` settings, or ``{"a.b.c": value}``, applied last.
        callbacks: called with every record of the log.
        progress: show a progress bar.
        settings: overrides by their last name: ``epochs=3`` is ``schedule.epochs=3``.

    Returns:
        The detector with the best weights, its history and the files.

    Raises:
        ConfigError: a setting or name that does not exist.
        FileExistsError: ``out`` holds a run already and ``resume`` is not set; or (`FolderInUse`) a run is going on
            there.
        FileNotFoundError: data, weights or the run to resume are not there.
        CheckpointError: the run to resume is damaged or was another one.
        DownloadError: what came as ``init`` is not the published file.
        ValueError: ``init`` does not fit the model.
        NonFiniteLoss: a loss, a weight or a statistic became NaN or infinite; the message names it, and of a loss the
            step and the images.
        SaveError: a checkpoint could not be written; the previous one is still there.
        KeyboardInterrupt: Ctrl-C, after leaving a checkpoint to resume from.
        SystemExit: SIGTERM or SIGHUP, likewise.
    """
    recipe = _settle(recipe, data, overrides, settings if val is None else {**settings, "val_fraction": val})
    with (
        join(device) as ranks,
        Display(ranks.first, progress) as display,
        ExitStack() as claims,
        Interrupts(display.say) as interrupts,
        interrupts.welcome(),
    ):
        if ranks.device.type == "cpu":
            keep_freed_memory()
        files = Files(ranks.share(_claim(claims, out, recipe.name, resume, display) if ranks.first else None))
        contents = read_state(files.state) if resume else None
        given = method_of(recipe).takes_proposals
        dataset = open_dataset(recipe.data, "train", recipe.model.input, True, proposals=given)
        unseen = _validation_set(recipe, display)
        sets = [dataset] if unseen is None else [dataset, unseen]
        settle(sets, ranks.share(find_broken(sets) if ranks.first else None))
        rows = class_table(dataset)
        display.classes(rows)
        loader = make_loader(
            dataset,
            recipe.schedule.batch,
            train=True,
            workers=recipe.data.workers,
            seed=recipe.schedule.seed,
            rank=ranks.rank,
            world=ranks.world,
        )
        if not len(loader):
            raise ValueError(
                f"the training data does not fill one batch of {recipe.schedule.batch} images on every device"
            )
        detector = _detector(recipe, dataset.classes, None if resume else weights, display).to(ranks.device)
        if recipe.init is not None and weights is None and not resume:
            _start_from(detector, recipe.init, ranks, display)
        state, lr = _state(detector, recipe, ranks, display)
        for remark in warnings(recipe.schedule, -(-len(loader) // recipe.schedule.accumulate)):
            display.say(remark)
        done = None
        if contents is not None:
            _same_model(detector.recipe, contents["recipe"], files.state, display)
            restore(state, contents, files.state, len(loader))
            done = (state.position.epoch, state.position.update)
            display.say(f"resuming {files.state} at epoch {state.position.epoch + 1}, step {state.position.step + 1}")
        log = None
        if ranks.first:
            files.tidy()
            write_atomically(files.recipe, lambda path: path.write_text(to_json(recipe) + "\n"))
            log = Log(files.log, done, state.history)
        run = Run(
            state=state,
            schedule=recipe.schedule,
            loader=loader,
            ranks=ranks,
            lr=lr,
            files=files,
            display=display,
            log=log,
            validate=None if unseen is None else _validator(recipe, unseen, ranks),
            callbacks=callbacks,
            window=1 if ranks.device.type == "cpu" else 20,
        )
        run.record(_start(recipe, rows, ranks, state))
        ended = fit(run)
        display.say(f"{ended}; {_verdict(state)}the run is in {files.out}")
        return _result(state, files, ranks, ended)


def _settle(
    recipe: str | Recipe, data: Any, overrides: Iterable[str] | Mapping[str, Any], settings: Mapping[str, Any]
) -> Recipe:
    """The recipe with the data and overrides of this run."""
    settled = find(recipe) if isinstance(recipe, str) else recipe
    if data is not None:
        given = as_data(data)
        told = {name: getattr(given, name) for name in given.model_fields_set}
        settled = settled.replace(data=settled.data.replace(**{**_ELSEWHERE, **told}))
    return override(override(settled, overrides), paths_of(settled, settings))


def _claim(claims: ExitStack, out: str | Path | None, name: str, resume: bool, display: Display) -> Path:
    """The folder of the run, locked until ``claims`` is closed."""
    if out is not None:
        folder = Path(out)
        claims.enter_context(lock(folder, display.say))
        if (folder / "last.state").exists() and not resume:
            raise FileExistsError(f"{folder} holds a run already; go on with it by resume=True, or choose another out")
        return folder
    runs = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in count(1))
    if resume:
        folder = last = next(runs)
        while (last / "last.state").exists():
            folder, last = last, next(runs)
        claims.enter_context(lock(folder, display.say))
        return folder
    for folder in runs:
        if not (folder / "last.state").exists():
            with suppress(FolderInUse):
                claims.enter_context(lock(folder, display.say))
                return folder
    raise AssertionError("there is always a next number")


def _same_model(recipe: Config | None, stored: str, path: Path, display: Display) -> None:
    """Refuse to resume with another model; name every other setting that changed."""
    try:
        before, now = flatten(from_json(Recipe, stored)), flatten(recipe) if recipe is not None else {}
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None
    changed = {key: (before.get(key), now.get(key)) for key in {**before, **now} if before.get(key) != now.get(key)}
    lines = [f"{key}: {then!r} -> {value!r}" for key, (then, value) in changed.items()]
    if any(key.startswith("model.") for key in changed):
        raise CheckpointError(f"{path} was written by another model: {'; '.join(lines)}")
    if lines:
        display.say(f"settings that changed since the run was stopped: {'; '.join(lines)}")


def _detector(
    recipe: Recipe, classes: Sequence[str], weights: str | Path | Mapping[str, Tensor] | None, display: Display
) -> Detector:
    """A detector for ``classes``, the same on every rank, with all that fits of ``weights``."""
    torch.manual_seed(recipe.schedule.seed)
    detector = build(recipe, classes=classes)
    if weights is None:
        return detector
    source = None if isinstance(weights, Mapping) else load(weights)
    tensors = source.state_dict() if source is not None else cast("Mapping[str, Tensor]", weights)
    for line in load_matching(detector, tensors, detector.classes, source.classes if source is not None else None):
        display.say(line)
    return detector


def _start_from(detector: Detector, init: Init, ranks: Ranks, display: Display) -> None:
    """The recipe's initial weights on every rank, or a loud word that there are none."""
    if ranks.first:
        try:
            lines = load_init(detector, init)
        except Unreachable as error:
            lines = [
                f"WARNING: {error}",
                f"WARNING: training starts from random weights instead of {init.url}; expect far less of it. "
                "init=null says that this is meant",
            ]
            if any(not parameter.requires_grad for parameter in detector.parameters()):
                lines.append("WARNING: some of them are frozen; model.backbone.frozen_stages=-1 trains all stages")
        for line in lines:
            display.say(line)
    ranks.share_weights(detector)


def _state(detector: Detector, recipe: Recipe, ranks: Ranks, display: Display) -> tuple[State, float]:
    """The state of a run at its start, and its learning rate."""
    schedule = recipe.schedule
    lr = learning_rate(schedule, ranks.world)
    display.say(lr.why)
    optimizer, unused = make_optimizer(detector, schedule, lr.value)
    for pattern in unused:
        display.say(f"schedule.groups: the pattern {pattern!r} matches no parameter of this model")
    scaler = GradScaler(ranks.device.type, enabled=schedule.autocast == "fp16")
    ema = Ema(detector, schedule.ema) if schedule.ema is not None else None
    return State(detector, optimizer, scaler, Meter(ranks), ema), lr.value


def _validation_set(recipe: Recipe, display: Display) -> Dataset | None:
    if not recipe.schedule.evaluate_every:
        return None
    if not recipe.data.parts("val"):
        display.say(
            "there are no validation images (data.val), so no epoch is known to be best; "
            "val=0.2 (--val 0.2) keeps a fifth of the training images for it"
        )
        return None
    if recipe.data.train == recipe.data.val and recipe.data.kind != "shapes" and not recipe.data.val_fraction:
        display.say(
            "WARNING: validation images are the training images, so AP says nothing about others; "
            "val=0.2 (--val 0.2) keeps a fifth of them apart"
        )
    given = method_of(recipe).takes_proposals
    return open_dataset(recipe.data, "val", recipe.model.input, False, proposals=given)


def _validator(recipe: Recipe, dataset: Dataset, ranks: Ranks) -> Callable[[Detector], Validation]:
    """A function that measures loss and AP on the validation images."""
    batch, workers = recipe.schedule.batch, recipe.data.workers
    loader = make_loader(dataset, batch, train=False, workers=workers, rank=ranks.rank, world=ranks.world)
    data = recipe.data.replace(check_images=False)  # once is enough

    def validate(detector: Detector) -> Validation:
        losses = validation_losses(detector, loader, ranks, recipe.schedule.autocast)
        report = evaluate(detector, data, batch=batch, workers=workers, progress=False)
        return Validation(report.metrics, losses, report.main, report.notes)

    return validate


def _start(recipe: Recipe, rows: Sequence[ClassRow], ranks: Ranks, state: State) -> dict[str, Any]:
    """The first record of a run, or of its continuation."""
    return {
        "event": "resume" if state.position.update else "start",
        "update": state.position.update,
        "recipe": recipe.model_dump(mode="json"),
        "classes": [row._asdict() for row in rows],
        "devices": f"{ranks.world} x {ranks.device.type}",
        "versions": {"detzoo": detzoo.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _verdict(state: State) -> str:
    if state.best.value is None:
        return ""
    return f"best {state.best.metric} {state.best.value:.4f} after epoch {state.best.epoch + 1}; "


def _result(state: State, files: Files, ranks: Ranks, ended: str) -> Trained:
    """The best weights on every rank."""
    detector = state.result
    best = files.best if state.best.value is not None else None
    if best is not None and ranks.first:
        detector.load_state_dict(read(best)[2])
    ranks.share_weights(detector)
    return Trained(
        detector=detector.eval().requires_grad_(True) if state.ema else detector.eval(),
        history=state.history,
        ended=ended,
        out=files.out,
        best=best,
        last=files.last,
        log=files.log,
        curves=files.curves,
    )


__all__ = ["Trained", "train"]
