"""The ``detzoo`` command: every sub-command is a call of a public function.

Nothing heavy is imported before a command runs, so that ``detzoo --help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from detzoo import __version__
from detzoo.typed import on_command_line, with_value

if TYPE_CHECKING:
    from detzoo.detector import Detector
    from detzoo.recipes.recipe import Recipe

INTERRUPTED = 130  # what a shell reports after Ctrl-C
WRONG = 2  # the user can mend it

SORTS = ("name", "ap", "mask-ap", "size", "params")  # what `detzoo.listing` sorts by

_OVERRIDES = (
    "Settings follow as a.b.c=value, e.g. schedule.epochs=3; `detzoo show NAME` prints all of them in that form."
)
_DATA = "folder with images and annotations, or 'shapes'; default: the recipe's"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 well, 1 a check failed, 2 wrong use or input, 130 Ctrl-C.

    Args:
        arguments: what follows the program's name; None: those of this process.
    """
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    if not options.debug:
        warnings.formatwarning = lambda message, *_, **__: f"warning: {_shown(message)}\n"
    try:
        with on_command_line():
            return options.run(options)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)  # training has said by itself how to go on
        return INTERRUPTED
    except BrokenPipeError:  # `detzoo list | head`: nobody is reading any more, which is no error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if options.debug or not _known(error):
            raise
        print(f"error: {_shown(_one_line(error))}", file=sys.stderr)
        return WRONG


def _parse(given: Sequence[str]) -> argparse.Namespace:
    """Options, with ``overrides`` gathered from wherever they stand."""
    parser = _parser()
    options, rest = parser.parse_known_args(with_value(given))
    if options.command is None:
        parser.print_help()
        parser.exit(WRONG)
    command = options.parser
    if options.command == "train":
        rest = _sorted_out(options, rest)
    for number, word in enumerate(rest):
        if word.startswith("-") and len(word) > 1:
            close = _meant(options, word, rest[number + 1 :])
            command.error(f"there is no option {word}" + (f"; did you mean {close}?" if close else ""))
        if not options.takes_overrides:
            command.error(f"{word!r} is one word too many")
        if "=" not in word:
            command.error(f"{word!r} is not of the form a.b.c=value")
    options.overrides = rest
    return options


def _sorted_out(options: argparse.Namespace, rest: list[str]) -> list[str]:
    """What follows ``train``, where both NAME and the folder behind ``--resume`` may be left out: a word with ``=`` is
    a setting, not one of the two, and the name of a recipe is no folder. Returns the words that are neither.
    """
    settings = []
    if isinstance(options.resume, str) and not os.path.isdir(options.resume):
        from detzoo.recipes.index import rows

        if "=" in options.resume:
            settings, options.resume = [options.resume], True
        elif options.name is None and options.resume in rows():
            options.name, options.resume = options.resume, True
    if options.name is not None and "=" in options.name:
        settings.append(options.name)
        options.name = next((word for word in rest if "=" not in word and not word.startswith("-")), None)
        rest = [word for word in rest if word != options.name]
    if options.name is None and not options.resume:
        options.parser.error("NAME is missing: a name from the zoo (detzoo list), a recipe's .json file, or weights")
    return settings + rest


def _meant(options: argparse.Namespace, word: str, following: Sequence[str]) -> str | None:
    """The option, or else the setting, that is meant by an option that does not exist."""
    flag, equals, value = word.partition("=")
    known = [flag for action in options.parser._actions for flag in action.option_strings]
    # without the dashes, which all have in common
    names = {name.lstrip("-"): name for name in known if name.startswith("--")}
    close = [names[name] for name in difflib.get_close_matches(flag.lstrip("-"), names, n=1, cutoff=0.7)]
    if not options.takes_overrides:
        return close[0] if close else None
    from detzoo.config import flatten, suggestion
    from detzoo.recipes.index import rows

    row = rows().get(options.name) or next(iter(rows().values()))
    if not equals:
        # a number behind it may have been taken for the name of the recipe
        candidates = following[:1] or ([options.name] if options.name and options.name not in rows() else [])
        value = next((one for one in candidates if not one.startswith("--") and "=" not in one), None)
    settings = flatten(row.recipe)
    exact = any(path.rpartition(".")[2] == flag.strip("-").replace("-", "_") for path in settings)
    return close[0] if close and not exact else suggestion(flag.strip("-"), value, settings)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show where an error comes from")
    parser = argparse.ArgumentParser(
        prog="detzoo",
        description="Object detection and instance segmentation: train, evaluate and predict with published methods.",
        epilog="detzoo COMMAND --help says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"detzoo {__version__}")
    parser.set_defaults(command=None, debug=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    detecting = argparse.ArgumentParser(add_help=False)
    detecting.add_argument("name", metavar="WEIGHTS_OR_NAME", help="our weights file, or a name from the zoo")
    detecting.add_argument("--batch", type=int, default=4, help="images per network call (%(default)s)")
    detecting.add_argument("--tta", nargs="?", const="flip", help="merge views: flip (as --tta alone), flip,0.5,1, ...")
    detecting.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    detecting.add_argument("--precision", help="fp32, bf16 or fp16 (detzoo doctor: what is fast); default: as saved")

    def add(
        name: str, run: Callable[[Any], int], text: str, overrides: bool = False, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_OVERRIDES if overrides else None,
            parents=[common, *parents],
            allow_abbrev=False,
        )
        made.set_defaults(run=run, parser=made, takes_overrides=overrides)
        return made

    demo = add("demo", _demo, "train a small Mask R-CNN on generated pictures, evaluate it, and write a page about it")
    demo.add_argument("--out", default="runs/demo", metavar="DIR", help="folder for everything (%(default)s)")
    demo.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")

    listing = add("list", _list, "list the zoo: name, published AP, input size, backbone, parameters, weights")
    listing.add_argument("pattern", nargs="?", default="*", help="a part of the name, or as in a shell: 'retinanet*'")
    listing.add_argument("--sort", choices=SORTS, default="name", help="best AP first, else smallest (%(default)s)")
    listing.add_argument("--min-ap", type=float, metavar="AP", help="least published box AP, in percent")
    listing.add_argument("--max-size", type=int, metavar="PIXELS", help="most pixels of the input's short edge")
    listing.add_argument("--max-params", type=float, metavar="M", help="most parameters, in millions")
    listing.add_argument("--backbone", metavar="NAME", help="a part of its name: resnet-50, r50, x101, vgg, ...")
    listing.add_argument("--weights", action="store_true", help="only those with published weights")

    show = add("show", _show, "print every setting of a recipe, ready to paste back", overrides=True)
    show.add_argument("name", metavar="NAME", help="a name from the zoo, our weights file, or a recipe's .json file")
    show.add_argument("--json", action="store_true", help="as JSON, which train takes as NAME when saved to a file")
    show.add_argument("--explain", action="store_true", help="with what each setting means")

    train = add("train", _train, "fit a detector to your data; the classes come from the data", overrides=True)
    train.add_argument(
        "name", metavar="NAME", nargs="?", help="a name from the zoo, a recipe's .json file, or weights to start from"
    )
    train.add_argument("--data", metavar="DIR", help=_DATA)
    train.add_argument("--out", metavar="DIR", help="folder of the run (runs/NAME)")
    train.add_argument("--weights", metavar="FILE", help="start from these: a zoo name or our file")
    train.add_argument(
        "--val", type=float, metavar="PART", help="keep this part of the training images for validation, e.g. 0.2"
    )
    train.add_argument("--precision", help="fp32, bf16 or fp16 (detzoo doctor: what is fast); default: the recipe's")
    train.add_argument(
        "--resume", nargs="?", const=True, metavar="DIR", help="go on with the run in DIR (or --out) where it stopped"
    )
    train.add_argument("--no-report", action="store_true", help="write no page about the run (DIR/report.html)")
    train.add_argument(
        "--logger",
        action="append",
        default=[],
        metavar="NAME",
        help="also show the run in tensorboard, wandb, mlflow or trackio; once for each",
    )
    train.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")

    evaluate = add("evaluate", _evaluate, "measure a detector on annotated images", True, detecting)
    evaluate.add_argument("--data", metavar="DIR", help=_DATA)
    evaluate.add_argument("--split", default="val", choices=["train", "val"], help="which images (%(default)s)")
    evaluate.add_argument("--out", metavar="FILE", help="write the numbers to this .json file")
    evaluate.add_argument("--no-report", action="store_true", help="write no page beside it (or in runs/evaluate)")
    evaluate.add_argument("--results", metavar="FILE", help="write the detections to this .json file, as COCO has them")
    evaluate.add_argument("--proposals", metavar="FILE", help="write the found boxes to this file, for Fast R-CNN")

    predict = add("predict", _predict, "find objects in pictures or a video and write what was found", True, detecting)
    predict.add_argument("source", metavar="SOURCE", help="picture, folder, 'pattern*.jpg', video or camera (0)")
    predict.add_argument("--out", metavar="DIR", default="runs/predict", help="folder for the drawings (%(default)s)")
    predict.add_argument("--threshold", type=float, default=0.3, help="least score, 0 to 1 (%(default)s)")
    predict.add_argument("--json", action="store_true", help="write DIR/predictions.json too: boxes, scores, masks")
    predict.add_argument("--csv", action="store_true", help="write DIR/predictions.csv too: a row per box")
    predict.add_argument("--crops", action="store_true", help="write what each box covers into DIR/crops too")
    predict.add_argument("--frames", action="store_true", help="of a video: each frame as a picture, not an .mp4 file")
    predict.add_argument("--coco", metavar="FILE", help="write a COCO results file too")
    predict.add_argument(
        "--data", metavar="FILE", help="COCO annotations to take the ids in it from; default: numbers as file names"
    )
    predict.add_argument("--classes", metavar="A,B", help="only these, by name or number")
    predict.add_argument("--nms", type=float, help="IoU above which the lesser of two boxes is dropped, 0 to 1")
    predict.add_argument("--size", metavar="PIXELS", help="short edge of the network's input, or both: 480x640")

    convert = add("convert", _convert, "make our weights file from an MMDetection or PaddleDetection model")
    convert.add_argument("source", metavar="SRC", help="MMDetection's .pth; Paddle's .pdparams, folder or .tar")
    convert.add_argument("--config", metavar="FILE", help="its config (.py, .json, .yml); default: the one in SRC")
    convert.add_argument("--configs", metavar="DIR", help="MMDetection's folder of configs, for bases that lie there")
    convert.add_argument("--out", required=True, metavar="FILE", help="our weights file, by habit NAME.safetensors")
    convert.add_argument("--classes", metavar="A,B", help="class names, where SRC does not say them")
    convert.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("WIDTH", "HEIGHT"),
        help="size that pictures are resized to, where the config names several",
    )

    export = add("export", _export, "write a detector as a file that runs without detzoo", overrides=True)
    export.add_argument("name", metavar="WEIGHTS_OR_NAME", help="our weights file, or a name from the zoo")
    export.add_argument("--out", required=True, metavar="FILE", help="model.onnx, model.xml (OpenVINO) or model.pt2")
    export.add_argument("--size", metavar="HxW", help="height and width of the only input; default: any that fits")
    export.add_argument("--pictures", metavar="SOURCE", help="three to compare file and detector on; default: made up")
    export.add_argument(
        "--precision", default="fp32", choices=("fp32", "fp16", "int8"), help="of an ONNX file's layers"
    )
    export.add_argument("--calibration", metavar="SOURCE", help="pictures like those that an int8 file will see")
    export.add_argument("--data", metavar="DATA", help="evaluate detector and file on this data set, too")
    export.add_argument("--no-check", action="store_true", help="write the file however much it differs")

    add("doctor", _doctor, "check that everything works on this machine")
    for command in (show, train, evaluate, predict, export):
        command.usage = command.format_usage().removeprefix("usage: ").rstrip() + " [a.b.c=value ...]"
    return parser


def _demo(options: argparse.Namespace) -> int:
    from detzoo.demo import ENOUGH, demo

    result = demo(options.out, device=options.device)
    print(f"open {result.page}")
    if not result.passed:
        print(f"error: box AP {result.metrics['box_ap']:.3f} is not above {ENOUGH}", file=sys.stderr)
    return 0 if result.passed else 1


def _list(options: argparse.Namespace) -> int:
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


def _show(options: argparse.Namespace) -> int:
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


def _train(options: argparse.Namespace) -> int:
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


def _evaluate(options: argparse.Namespace) -> int:
    import detzoo

    detector, data = _settled(_load(options), options.data, options.overrides)
    more = {"proposals": options.proposals, "results": options.results, "tta": options.tta}
    page: Any = False
    if not options.no_report:
        stem = os.path.splitext(options.out)[0] if options.out else f"runs/evaluate/{_stem(options.name)}"
        page = f"{stem}.html"
    report = detzoo.evaluate(detector, data=data, split=options.split, batch=options.batch, report=page, **more)
    print(report.summary())
    if page:
        print(f"report: {page}")
    if options.results:
        print(f"results: {options.results}")
    if options.out:
        print(f"numbers: {report.save(options.out)}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from detzoo.predict.command import predict_command

    return predict_command(options, lambda: _load(options))


def _convert(options: argparse.Namespace) -> int:
    import detzoo
    from detzoo.overwrite import ReadFiles

    classes = None if options.classes is None else [name.strip() for name in options.classes.split(",")]
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


def _export(options: argparse.Namespace) -> int:
    from detzoo.export.write import check_format
    from detzoo.overwrite import ReadFiles

    check_format(options.out)
    ReadFiles([options.name]).refuse(options.out, "choose another file with --out")
    detector = _load(argparse.Namespace(name=options.name, device="cpu", precision=None))
    detector = _settled(detector, None, options.overrides)[0] if options.overrides else detector
    given = {name: getattr(options, name) for name in ("size", "pictures", "precision", "calibration", "data")}
    print(detector.export(options.out, check=not options.no_check, **given))
    return 0


def _doctor(options: argparse.Namespace) -> int:
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
    if name.endswith(".safetensors"):
        return read(name)[0]
    return detzoo.find(name)


def _stem(name: str) -> str:
    """What a file about a model is called: as the weights, with the folder of their run, or as the zoo calls it."""
    parts = os.path.splitext(name)[0].replace(os.sep, "/").split("/") if _is_file(name) else [name]
    return "_".join(part for part in parts[-2:] if part not in ("", ".", ".."))


def _is_file(name: str) -> bool:
    """Whether a model is given by a file and not by a name of the zoo."""
    return name.endswith((".json", ".safetensors"))


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


def _shown(message: object) -> str:
    """A message, which may quote what a file says, as a terminal may be sent it."""
    from detzoo.terminal import printable

    return "\n".join(map(printable, str(message).splitlines()))


def _known(error: Exception) -> bool:
    """Whether an error speaks to the user: ours do, and of the others those about files, values and missing parts."""
    ours = type(error).__module__.startswith("detzoo.")
    return ours or isinstance(error, ValueError | OSError | ModuleNotFoundError)


def _one_line(error: BaseException) -> str:
    """An error's message; of a missing file or a full disk, with its name."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()) or type(error).__name__


if __name__ == "__main__":
    raise SystemExit(main())
