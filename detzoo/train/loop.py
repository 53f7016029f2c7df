"""`train`: from a recipe and data to a fitted detector."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

import detzoo
from detzoo.atomic import write_atomically
from detzoo.config import to_json
from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.image_check import find_broken, settle
from detzoo.data.loader import make_loader
from detzoo.data.read import SplitName
from detzoo.data.table import ClassRow, class_table
from detzoo.data.vary import Vary
from detzoo.detector import Detector, DetectorConfig
from detzoo.evaluate.lvis import check_federated
from detzoo.evaluate.own_metrics import OwnMetric
from detzoo.evaluate.run import evaluate
from detzoo.overwrite import ReadFiles
from detzoo.precision import Precision, precision_word
from detzoo.recipes.download import Unreachable
from detzoo.recipes.files import read
from detzoo.recipes.own import knowing
from detzoo.recipes.recipe import Init, Recipe, method_of
from detzoo.recipes.zoo import build
from detzoo.report.page import Page
from detzoo.train.allocator import keep_freed_memory
from detzoo.train.checkpoint import Best, Files, State, read_state, restore
from detzoo.train.distributed import Ranks, join
from detzoo.train.ema import Ema
from detzoo.train.fit import Run, Validation, fit
from detzoo.train.heads import load_init, load_matching, load_timm
from detzoo.train.interrupts import Interrupts
from detzoo.train.log import Log, read_log
from detzoo.train.loggers import check_loggers, open_loggers
from detzoo.train.meter import Meter
from detzoo.train.optimizer import group_settings, learning_rate, make_optimizer, own_optimizer
from detzoo.train.own import Own, own_parts_of
from detzoo.train.plan import Start, claim, given_recipe, named_start, planned, resumed, same_run
from detzoo.train.progress import Display
from detzoo.train.report import training_sections
from detzoo.train.schedules import warnings
from detzoo.train.teacher import give_teacher, teacher_of
from detzoo.train.validation import validation_losses
from detzoo.typed import argument
from detzoo.user_path import user_path


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
        results: the epochs as a table, ``results.csv``.
        report: the page about the run, or None.
    """

    detector: Detector = field(repr=False)
    history: list[dict[str, Any]] = field(repr=False)
    ended: str
    out: Path
    best: Path | None
    last: Path
    log: Path
    curves: Path
    results: Path
    report: Path | None = None


def train(
    recipe: str | Path | Recipe | Detector | DetectorConfig | None = None,
    data: Any = None,
    out: str | Path | None = None,
    *,
    backbone: nn.Module | None = None,
    methods: Sequence[type[Detector]] = (),
    augment: Sequence[Any] | None = None,
    metrics: Sequence[OwnMetric] = (),
    optimizer: str | Callable[[list[nn.Parameter]], Optimizer] | None = None,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    val: float | None = None,
    precision: Precision | torch.dtype | None = None,
    resume: bool | str | Path = False,
    device: str | torch.device | None = None,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    callbacks: Sequence[Any] = (),
    loggers: str | Sequence[str] = (),
    progress: bool = True,
    report: bool = True,
    **settings: Any,
) -> Trained:
    """Train a detector. The classes come from the data.

    Started by ``torchrun`` or ``accelerate launch`` it trains on several devices or nodes; ``out`` must then be a
    folder that all nodes see. What is equal to one device, and what is not, is said in `detzoo.train.distributed`.

    Args:
        recipe: a name from the zoo, a `Recipe` or its ``.json`` file; a file that detzoo wrote, or a detector, which is
            then what training starts from unless ``weights`` says otherwise; or settings of a method alone, as of the
            program's own. None, with ``resume``: that of the run.
        data: what `detzoo.data.source.as_data` takes; None: the recipe's. How images are varied (sizes, flip, masks,
            ...) stays as the recipe has it, unless said here.
        backbone: the program's own in place of the recipe's, as of `detzoo.build`; it is trained, not a copy of it.
        methods: the program's own subclasses of `Detector` that a run to resume, or a file, may name.
        augment: the program's own callables, each given a training picture and its objects before the recipe's steps
            (see `detzoo.data.vary`); or what replaces these steps, as ``data.augment`` of the recipe.
        metrics: the program's own, measured at every validation; see `detzoo.evaluate.own_metrics`.
        optimizer: ``sgd``, ``adam``, ``adamw`` or ``rmsprop``, as ``schedule.optimizer`` of the recipe; or a callable
            that makes one from the trainable parameters: the schedule multiplies the rates that it has.
        out: folder of the run; None: ``runs/<name>``, or with a number behind it if that exists.
        weights: what to start from: a zoo name, a file that detzoo wrote, or a state dict. The outputs of a head go by
            the names of the classes, where the weights have names; what is not taken is named, and starts at random.
            None: the recipe's ``init``, usually a
            backbone trained on ImageNet, which is fetched into the cache; where that cannot be had, this is said and
            training starts from random weights, as it does with ``init=null`` among the overrides.
        val: part of the training images to keep for validation, such as 0.2, where the data has no others for it: the
            same images every time. It is ``data.val_fraction`` of the recipe.
        precision: what convolutions and matrix products compute in: ``fp32``, ``bf16`` or ``fp16``, whose gradients are
            scaled; weights, box arithmetic and losses stay float32. It is ``schedule.precision`` of the recipe.
        resume: go on with the run in ``out``, or in the folder that is named here, exactly where it stopped, with its
            recipe and its data; only what is given now changes, as ``schedule.epochs``. Another model is refused,
            another optimizer starts anew.
        device: None: CUDA, else MPS, else CPU.
        overrides: ``a.b.c=value`` settings, or ``{"a.b.c": value}``, applied last. With ``schedule.epochs`` alone the
            milestones of the schedule move in proportion; those of a run that goes on stay.
        callbacks: called on the first rank with every record of the log; or objects with ``on_step``, ``on_validation``
            or ``on_epoch``, called with those of their event. One that returns a text stops the run, with that reason.
        loggers: other displays that get its numbers, too: ``tensorboard``, ``wandb``, ``mlflow``, ``trackio``;
            ``csv``, the table of epochs, is always written.
        progress: show a progress bar.
        report: write ``report.html`` at the end, for which the best weights are measured once more: curves, classes,
            confusions, kinds of errors, pictures, labels.
        settings: overrides by their last name: ``epochs=3`` is ``schedule.epochs=3``.

    Returns:
        The detector with the best weights, its history and the files.

    Raises:
        ConfigError: a setting or name that does not exist.
        FileExistsError: ``out`` holds a run already and ``resume`` is not set; or (`FolderInUse`) a run is going on
            there.
        ModuleNotFoundError: a logger is not installed; nothing has begun.
        FileNotFoundError: data, weights or the run to resume are not there.
        CheckpointError: the run to resume is damaged or was another one.
        DownloadError: what came as ``init`` is not the published file.
        ValueError: ``init`` does not fit the model; or no recipe is named, or no run to resume.
        NonFiniteLoss: a loss, a weight or a statistic became NaN or infinite; the message names it, and of a loss the
            step and the images.
        SaveError: a checkpoint could not be written; the previous one is still there.
        KeyboardInterrupt: Ctrl-C, after leaving a checkpoint to resume from.
        SystemExit: SIGTERM or SIGHUP, likewise.
    """
    shown_by = check_loggers(loggers)
    if val is not None:
        settings = {**settings, "val_fraction": val}
    if precision is not None:
        settings = {**settings, "precision": precision_word(precision)}
    if not isinstance(resume, bool):
        folder = user_path(resume)
        folder = folder.parent if folder.name == "last.state" or folder.is_file() else folder
        if out is not None and user_path(out) != folder:
            raise ValueError(f"{argument('resume', folder)} and {argument('out', out)} are two folders; name one")
        out, resume = folder, True
    if recipe is None and not resume:
        raise ValueError("which recipe? Name one of the zoo (detzoo list), a recipe's .json file or a weights file")
    if augment is not None and not any(map(callable, augment)):
        settings, augment = {**settings, "augment": augment}, None
    if isinstance(optimizer, str):
        settings, optimizer = {**settings, "optimizer": optimizer}, None
    own = own_parts_of(recipe, methods, backbone, augment or (), metrics, callbacks, optimizer)
    with knowing(own.methods):
        return _train(recipe, data, out, weights, resume, device, overrides, settings, shown_by, progress, report, own)


def _train(
    recipe: str | Path | Recipe | Detector | DetectorConfig | None,
    data: Any,
    out: str | Path | None,
    weights: str | Path | Mapping[str, Tensor] | None,
    resume: bool,
    device: str | torch.device | None,
    overrides: Iterable[str] | Mapping[str, Any],
    settings: Mapping[str, Any],
    shown_by: Sequence[str],
    progress: bool,
    report: bool,
    own: Own,
) -> Trained:
    """`train` with its arguments checked."""
    given, start = (None, None) if recipe is None else given_recipe(recipe, own.backbone)
    settled, notes = (given, []) if resume or given is None else planned(given, data, overrides, settings)
    with (
        join(device) as ranks,
        Display(ranks.first, progress) as display,
        ExitStack() as claims,
        Interrupts(display.say) as interrupts,
        interrupts.welcome(),
    ):
        if ranks.device.type == "cpu":
            keep_freed_memory()
        files = Files(_folder(claims, out, settled, resume, ranks, display))
        if not resume:
            begun_from = ReadFiles(one for one in (recipe, weights, teacher_of(settled)) if isinstance(one, str | Path))
            for target in (files.best, files.last):
                begun_from.refuse(target, f"choose another {argument('out')}")
        contents = read_state(files.state) if resume else None
        if contents is not None:
            settled, notes = resumed(contents, files.state, given, data, overrides, settings)
            start = None
            if weights is not None:
                notes.append(f"{argument('weights')} is not used: the run goes on with its own")
        elif weights is not None:
            start = named_start(weights)
        for note in notes:
            display.say(note)
        recipe = cast("Recipe", settled)
        dataset = _opened(recipe, "train", True, own.augment)
        unseen = _validation_set(recipe, display)
        sets = [dataset] if unseen is None else [dataset, unseen]
        settle(sets, ranks.share(find_broken(sets) if ranks.first else None))
        rows = class_table(dataset)
        display.classes(rows)
        display.images(len(dataset), len(dataset.annotations) - len(dataset), 0 if unseen is None else len(unseen))
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
        torch.manual_seed(recipe.schedule.seed)
        detector = build(recipe, classes=dataset.classes, backbone=own.backbone).to(ranks.device)
        give_teacher(detector, ranks, display.say, Path(contents.get("folder", ".") if contents is not None else "."))
        if contents is None:
            _begin(detector, start, recipe.init, ranks, display)
        state, lr = _state(detector, recipe, ranks, display, own)
        state.given = contents.get("given") if contents is not None else to_json(cast("Recipe", given), indent=None)
        for remark in warnings(recipe.schedule, -(-len(loader) // recipe.schedule.accumulate)):
            display.say(remark)
        done = None
        if contents is not None:
            same = own.same_as(contents.get("own", {}), display.say)
            same = same_run(cast("Recipe", detector.recipe), contents, files.state, display) and same
            restore(state, contents, files.state, len(loader), keep_memory=same)
            if state.best.value is not None and not files.best.is_file():
                display.say(f"{files.best} is not there any more: another epoch becomes the best")
                state.best = Best()
            done = (state.position.epoch, state.position.update)
            display.say(f"resuming {files.state} at epoch {state.position.epoch + 1}, step {state.position.step + 1}")
        log, callbacks = None, own.callbacks
        if ranks.first:
            files.tidy()
            write_atomically(files.recipe, lambda path: path.write_text(to_json(recipe) + "\n"))
            log = Log(files.log, done, state.history)
            update = state.position.update
            shown = open_loggers(shown_by, files.out, recipe.model_dump(mode="json"), update, claims, display.say)
            callbacks = (*callbacks, *shown)
        run = Run(
            state=state,
            schedule=recipe.schedule,
            loader=loader,
            ranks=ranks,
            lr=lr,
            files=files,
            display=display,
            log=log,
            validate=None if unseen is None else _validator(recipe, unseen, ranks, own),
            callbacks=callbacks,
            own_network=own.backbone is not None or bool(own.methods),
            window=1 if ranks.device.type == "cpu" else 20,
        )
        counts = {"train": len(dataset), "val": len(unseen or ())}
        run.record(_start(recipe, rows, ranks, state) | {"images": counts, "own": state.own})
        ended = fit(run)
        display.say(f"{ended}; {_verdict(state)}the run is in {files.out}")
        trained = _result(state, files, ranks, ended)
        return replace(trained, report=_report(trained, recipe, dataset, unseen, ranks, display)) if report else trained


def _folder(
    claims: ExitStack, out: str | Path | None, recipe: Recipe | None, resume: bool, ranks: Ranks, display: Display
) -> Path:
    """The folder of the run, the same on every rank; the first one locks it until ``claims`` is closed."""
    name = None if recipe is None else recipe.name
    return ranks.share(claim(claims, out, name, resume, display) if ranks.first else None)


def _begin(detector: Detector, start: Start | None, init: Init | None, ranks: Ranks, display: Display) -> None:
    """All that fits of the weights to start from, or else the recipe's, on every rank; and what is wrong with that."""
    frozen = [(name, value) for name, value in detector.named_parameters() if not value.requires_grad]
    # a vector is a scale or an offset, which starts as ones or zeros
    random = {name: value.detach().clone() for name, value in frozen if value.ndim > 1}
    if start is not None:
        for line in (start.words, *load_matching(detector, start.tensors, detector.classes, start.classes)):
            if line:
                display.say(line)
    else:
        _start_from(detector, init, ranks, display)
    left = [name for name, value in frozen if name in random and torch.equal(value, random[name])]
    if left:
        layers = [name.rpartition(".")[0] for name in left]
        more = f" and {len(layers) - 6} more" if len(layers) > 6 else ""
        display.say(
            f"WARNING: {len(layers)} layers are frozen with random weights, so that they never learn: "
            f"{', '.join(layers[:6])}{more}. model.backbone.frozen_stages=-1 trains all stages, "
            f"{argument('weights')} names weights to start from"
        )


def _start_from(detector: Detector, init: Init | None, ranks: Ranks, display: Display) -> None:
    """The weights that recipe and backbone start from, on every rank, or a loud word that there are none."""
    asked = [(partial(load_timm, detector), "timm's", "model.backbone.pretrained=false")]
    if init is not None:
        asked.append((partial(load_init, detector, init), init.url, "init=null"))
    for load, wanted, mend in asked if ranks.first else ():
        try:
            lines = load()
        except Unreachable as error:
            lines = [
                f"WARNING: {error}",
                f"WARNING: training starts from random weights instead of {wanted}; expect far less of it. "
                f"{mend} says that this is meant",
            ]
        for line in lines:
            display.say(line)
    ranks.share_weights(detector)


def _state(detector: Detector, recipe: Recipe, ranks: Ranks, display: Display, own: Own) -> tuple[State, float]:
    """The state of a run at its start, and its learning rate."""
    schedule = recipe.schedule
    lr, unused = learning_rate(schedule, ranks.world), []
    if own.optimizer is None:
        optimizer, unused = make_optimizer(detector, schedule, lr.value)
    else:
        optimizer, lr = own_optimizer(detector, own.optimizer)
    display.say(lr.why)
    for pattern in unused:
        display.say(f"schedule.groups: the pattern {pattern!r} matches no parameter of this model")
    scaler = GradScaler(ranks.device.type, enabled=schedule.precision == "fp16")
    ema = Ema(detector, schedule.ema) if schedule.ema is not None else None
    made = None if own.optimizer is None else group_settings(optimizer)
    return State(detector, optimizer, scaler, Meter(ranks), ema, own=own.names(), made=made), lr.value


def _validation_set(recipe: Recipe, display: Display) -> Dataset | None:
    if not recipe.schedule.evaluate_every:
        return None
    keep = argument("val", 0.2)
    if not recipe.data.parts("val"):
        display.say(
            "there are no validation images (data.val), so no epoch is known to be best; "
            f"{keep} keeps a fifth of the training images for it"
        )
        return None
    if recipe.data.train == recipe.data.val and recipe.data.kind != "shapes" and not recipe.data.val_fraction:
        display.say(
            "WARNING: validation images are the training images, so AP says nothing about others; "
            f"{keep} keeps a fifth of them apart"
        )
    dataset = _opened(recipe, "val", False)
    if recipe.data.metric == "lvis":
        check_federated(dataset.annotations)
    return dataset


def _opened(recipe: Recipe, split: SplitName, augment: bool, steps: Sequence[Vary] = ()) -> Dataset:
    """A half of the data with all that the method learns from."""
    given = {"proposals": method_of(recipe).takes_proposals, "class_maps": recipe.model.learns_class_maps}
    return open_dataset(recipe.data, split, recipe.model.input, augment, steps=steps, **given)


def _validator(recipe: Recipe, dataset: Dataset, ranks: Ranks, own: Own) -> Callable[[Detector], Validation]:
    """A function that measures loss and AP on the validation images."""
    batch, workers = recipe.schedule.batch, recipe.data.workers
    loader = make_loader(dataset, batch, train=False, workers=workers, rank=ranks.rank, world=ranks.world)

    def validate(detector: Detector) -> Validation:
        losses = validation_losses(detector, loader, ranks, recipe.schedule.precision)
        report = evaluate(detector, dataset, batch=batch, workers=workers, metrics=own.metrics, progress=False)
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
        results=files.results,
    )


def _report(
    trained: Trained, recipe: Recipe, dataset: Dataset, unseen: Dataset | None, ranks: Ranks, display: Display
) -> Path | None:
    """The page about the run; what is wrong with it is said, and no error: the run itself is whole."""
    path, sections = Files(trained.out).report, None
    try:
        if ranks.first:
            sections = training_sections(read_log(trained.log), dataset, recipe.schedule.seed, trained.ended)
    except Exception as error:
        display.say(f"WARNING: there is no report: {error}")
    if ranks.share(sections is None if ranks.first else None):
        return None
    page = Page(path, recipe.name, more=sections or {})
    try:
        if unseen is not None:
            batch, workers = recipe.schedule.batch, recipe.data.workers
            evaluate(trained.detector, unseen, batch=batch, workers=workers, progress=False, report=page)
        elif ranks.first:
            page.write()
    except Exception as error:
        display.say(f"WARNING: there is no report: {error}")
        return None
    display.say(f"report: {path}")
    return path


__all__ = ["Trained", "train"]
