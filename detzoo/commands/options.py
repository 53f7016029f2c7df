"""Options and arguments of every sub-command; settings, ``a.b.c=value``, may stand anywhere among them."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Callable, Sequence
from typing import Any

from detzoo import __version__
from detzoo.commands.run import (
    run_convert,
    run_demo,
    run_doctor,
    run_evaluate,
    run_export,
    run_list,
    run_predict,
    run_show,
    run_train,
)
from detzoo.typed import misspelt_view, on_command_line, with_value

WRONG = 2  # exit code: the user can mend it
SORTS = ("name", "ap", "mask-ap", "size", "params")  # what `detzoo.listing` sorts by

_OVERRIDES = (
    "Settings follow as a.b.c=value, e.g. schedule.epochs=3; `detzoo show NAME` prints all of them in that form."
)
_DATA = "folder with images and annotations, or 'shapes'; default: the recipe's"


def parse(given: Sequence[str]) -> argparse.Namespace:
    """Options, with ``overrides`` gathered from wherever they stand; ``options.run(options)`` runs the command.

    Raises:
        SystemExit: the words ask for help, or are wrong; what to say is printed.
    """
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
        if "=" not in word:
            _refuse_misspelt_view(command, given)
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


def _refuse_misspelt_view(command: argparse.ArgumentParser, given: Sequence[str]) -> None:
    """Of a word too many say that the one behind ``--tta`` is no value of it, if it is none."""
    word = misspelt_view(given)
    if word is None:
        return
    from detzoo.config import ConfigError
    from detzoo.tta import pick_tta

    try:
        with on_command_line():
            pick_tta(word)
    except ConfigError as error:
        command.error(str(error))


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
        name: str, command: Callable[[Any], int], text: str, overrides: bool = False, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=_OVERRIDES if overrides else None,
            parents=[common, *parents],
            allow_abbrev=False,
        )
        made.set_defaults(run=command, parser=made, takes_overrides=overrides)
        return made

    demo = add(
        "demo", run_demo, "train a small Mask R-CNN on generated pictures, evaluate it, and write a page about it"
    )
    demo.add_argument("--out", default="runs/demo", metavar="DIR", help="folder for everything (%(default)s)")
    demo.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")

    listing = add("list", run_list, "list the zoo: name, published AP, input size, backbone, parameters, weights")
    listing.add_argument("pattern", nargs="?", default="*", help="a part of the name, or as in a shell: 'retinanet*'")
    listing.add_argument("--sort", choices=SORTS, default="name", help="best AP first, else smallest (%(default)s)")
    listing.add_argument("--min-ap", type=float, metavar="AP", help="least published box AP, in percent")
    listing.add_argument("--max-size", type=int, metavar="PIXELS", help="most pixels of the input's short edge")
    listing.add_argument("--max-params", type=float, metavar="M", help="most parameters, in millions")
    listing.add_argument("--backbone", metavar="NAME", help="a part of its name: resnet-50, r50, x101, vgg, ...")
    listing.add_argument("--weights", action="store_true", help="only those with published weights")

    show = add("show", run_show, "print every setting of a recipe, ready to paste back", overrides=True)
    show.add_argument("name", metavar="NAME", help="a name from the zoo, our weights file, or a recipe's .json file")
    show.add_argument("--json", action="store_true", help="as JSON, which train takes as NAME when saved to a file")
    show.add_argument("--explain", action="store_true", help="with what each setting means")

    train = add("train", run_train, "fit a detector to your data; the classes come from the data", overrides=True)
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

    evaluate = add("evaluate", run_evaluate, "measure a detector on annotated images", True, detecting)
    evaluate.add_argument("--data", metavar="DIR", help=_DATA)
    evaluate.add_argument("--split", default="val", choices=["train", "val"], help="which images (%(default)s)")
    evaluate.add_argument("--out", metavar="FILE", help="write the numbers to this .json file")
    evaluate.add_argument("--no-report", action="store_true", help="write no page beside it (or in runs/evaluate)")
    evaluate.add_argument("--results", metavar="FILE", help="write the detections to this .json file, as COCO has them")
    evaluate.add_argument("--proposals", metavar="FILE", help="write the found boxes to this file, for Fast R-CNN")

    predict = add(
        "predict", run_predict, "find objects in pictures or a video and write what was found", True, detecting
    )
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

    convert = add("convert", run_convert, "make our weights file from an MMDetection or PaddleDetection model")
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

    export = add("export", run_export, "write a detector as a file that runs without detzoo", overrides=True)
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

    add("doctor", run_doctor, "check that everything works on this machine")
    for command in (show, train, evaluate, predict, export):
        command.usage = command.format_usage().removeprefix("usage: ").rstrip() + " [a.b.c=value ...]"
    return parser
