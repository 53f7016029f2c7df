"""What each sub-command runs, by its name: options in, exit code out.

Imports are inside, so that a command waits for nothing that it does not need.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detzoo.detector import Detector
    from detzoo.recipes.recipe import Recipe


def run_demo(options: argparse.Namespace) -> int:
    """Train, evaluate and report a small model."""
    from detzoo.demo import ENOUGH, demo

    result = demo(options.out, device=options.device)
    print(f"open {result.page}")
    if not result.passed:
        print(f"error: box AP {result.metrics['box_ap']:.3f} is not above {ENOUGH}", file=sys.stderr)
    return 0 if result.passed else 1


def run_list(options: argparse.Namespace) -> int:
    """Print rows of the zoo."""
    from detzoo.listing import HEAD, cells, listed, table

    found = listed(
        options.pattern,
        sort=options.sort,
        min_ap=options.min_ap,
        max_size=options.max_size,
        max_params=options.max_params,
        backbone=options.backbone,
        weights=options.weights,
    )
    if not found:
        print(f"error: nothing in the zoo matches {options.pattern!r} and the other options", file=sys.stderr)
        return 1
    print(table(HEAD, [cells(row) for row in found]))
    return 0


def run_show(options: argparse.Namespace) -> int:
    """Print the settings of a recipe."""
    from detzoo.paths import flat
    from detzoo.recipes.index import lookup

    comments: dict[str, str] = {}
    if _is_file(options.name) or options.overrides or options.explain:
        from detzoo.config import override
        from detzoo.config_comments import explained

        recipe = override(_recipe(options.name), options.overrides)
        values = recipe.model_dump(mode="json")
        comments = explained(recipe) if options.explain else {}
    else:  # the index has it, without torch
        values = lookup(options.name).recipe
    if options.json:
        print(json.dumps(values, indent=2, ensure_ascii=False))
        return 0
    for path, value in flat(values).items():
        line = shlex.quote(f"{path}={json.dumps(value)}")
        print(f"{line}  # {comments[path]}" if path in comments else line)
    return 0


def run_train(options: argparse.Namespace) -> int:
    """Train, or go on with a run."""
    import detzoo

    if options.name is not None:
        _check_name(options.name)
    done = detzoo.train(
        options.name,
        data=options.data,
        out=options.out,
        weights=options.weights,
        val=options.val,
        precision=options.precision,
        resume=options.resume or False,
        device=options.device,
        overrides=options.overrides,
        loggers=options.logger,
        report=not options.no_report,
    )
    if os.environ.get("RANK", "0") == "0":  # one of several processes speaks
        print(f"weights: {done.best or done.last}")
    return 0


def run_evaluate(options: argparse.Namespace) -> int:
    """Measure a detector."""
    import detzoo
    from detzoo.evaluate.report import report_file

    detector, data = _settled(_load(options), options.data, options.overrides)
    more = {"proposals": options.proposals, "results": options.results, "tta": options.tta}
    page: Any = False
    if not options.no_report:
        page = report_file(options.out or f"runs/evaluate/{_stem(options.name)}.json").with_suffix(".html")
    more |= {"split": options.split, "batch": options.batch, "out": options.out, "report": page}
    report = detzoo.evaluate(detector, data, **more)
    print(report.summary())
    if page:
        print(f"report: {page}")
    for what in ("proposals", "results"):
        if more[what]:
            print(f"{what}: {more[what]}")
    if options.out:
        print(f"numbers: {report_file(options.out)}")
    return 0


def run_predict(options: argparse.Namespace) -> int:
    """Find objects in pictures."""
    from detzoo.predict.command import predict_command

    return predict_command(options, lambda: _load(options))


def run_convert(options: argparse.Namespace) -> int:
    """Write the weights file of another toolbox's model."""
    import detzoo
    from detzoo.overwrite import ReadFiles
    from detzoo.typed import listed

    classes = None if options.classes is None else listed(options.classes)
    inputs = [options.source, *([options.config] if options.config else [])]
    if os.path.isdir(options.source):  # of a static model of PaddleDetection
        inputs += [entry.path for entry in os.scandir(options.source)]
    ReadFiles(inputs).refuse(options.out, "choose another file with --out")
    more = {"classes": classes, "size": options.size}
    if (options.config or "").lower().endswith((".yml", ".yaml")):
        detector = detzoo.from_paddle(options.config, options.source, **more)
    elif options.source.endswith((".pdparams", ".pdiparams", ".pdmodel", ".tar")) or os.path.isdir(options.source):
        raise ValueError(f"{options.source} is PaddleDetection's: name its config, --config FILE.yml")
    else:
        detector = detzoo.from_mmdet(options.config or options.source, options.source, **more, configs=options.configs)
    print(f"weights: {detector.save(options.out)}")
    names = ", ".join(detector.classes[:5]) + (", ..." if len(detector.classes) > 5 else "")
    print(f"{type(detector).__name__}, {len(detector.classes)} classes: {names}")
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Write a detector as a file that runs elsewhere."""
    from detzoo.export.write import check_format
    from detzoo.overwrite import ReadFiles

    check_format(options.out)
    ReadFiles([options.name]).refuse(options.out, "choose another file with --out")
    detector = _load(argparse.Namespace(name=options.name, device="cpu", precision=None))
    detector = _settled(detector, None, options.overrides)[0] if options.overrides else detector
    given = {name: getattr(options, name) for name in ("size", "pictures", "precision", "calibration", "data")}
    print(detector.export(options.out, check=not options.no_check, **given))
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    """Check this machine."""
    from detzoo.doctor import examine

    problems = 0
    for check in examine():
        print(f"{'ok  ' if check.ok else 'BAD '} {check.what}: {check.found}")
        if not check.ok:
            problems += 1
            print(f"     mend: {check.mend}")
    print(f"{problems} problems" if problems else "all is well")
    return 1 if problems else 0


def _check_name(name: str) -> None:
    """Refuse a folder and a misspelt name before anything heavy is imported."""
    from detzoo.recipes.index import UnknownRecipe, lookup

    if _is_file(name):
        return
    try:
        lookup(name)
    except UnknownRecipe:
        if not os.path.isdir(name):
            raise
        raise FileNotFoundError(
            f"{name} is a folder: `detzoo train --resume {name}` goes on with a run there, and a weights file in it, "
            f"as {os.path.join(name, 'best.safetensors')}, is something to start from"
        ) from None


def _recipe(name: str) -> Recipe:
    """The recipe of a zoo name, of a weights file, or in a JSON file."""
    _check_name(name)

    import detzoo
    from detzoo.config import load
    from detzoo.recipes.files import read
    from detzoo.recipes.recipe import Recipe

    if name.endswith(".json"):
        return load(Recipe, name)
    if _is_file(name):
        return read(name)[0]
    return detzoo.find(name)


def _stem(name: str) -> str:
    """What a file about a model is called: as the weights, with the folder of their run, or as the zoo calls it."""
    parts = os.path.splitext(name)[0].replace(os.sep, "/").split("/") if _is_file(name) else [name]
    return "_".join(part for part in parts[-2:] if part not in ("", ".", ".."))


def _is_file(name: str) -> bool:
    """Whether a model is given by a file and not by a name of the zoo."""
    return name.endswith((".json", ".safetensors")) or os.path.isfile(name)


def _load(options: argparse.Namespace) -> Detector:
    import detzoo

    return detzoo.load(options.name, device=options.device, precision=options.precision)


def _settled(detector: Detector, data: str | None, overrides: Iterable[str]) -> tuple[Detector, Any]:
    """The detector with overridden model settings, and what to evaluate it on.

    Raises:
        ConfigError: a setting does not exist, or the weights do not fit the changed model.
    """
    from detzoo.config import override
    from detzoo.data.source import as_data
    from detzoo.recipes.changed import with_model
    from detzoo.recipes.recipe import Recipe

    before = detector.recipe
    if not isinstance(before, Recipe):
        if data is None or list(overrides):
            raise ValueError("an exported file carries no recipe: name --data, and change settings before the export")
        return detector, as_data(data)
    recipe = before if data is None else before.replace(data=as_data(data))
    recipe = override(recipe, overrides)
    return with_model(detector, recipe.model), recipe.data
