"""`export`: a detector into a file that runs elsewhere, compared with the detector before it is there."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import torch

from detzoo.data.resize import canvas_size
from detzoo.data.shapes import picture
from detzoo.detector import Detector, Input
from detzoo.evaluate.inference import in_precision
from detzoo.evaluate.run import evaluate
from detzoo.export.capture import Capture, capture, with_canvas
from detzoo.export.exported import ExportedDetector, open_exported
from detzoo.export.info import FileInfo, info_of
from detzoo.export.parity import PIXELS, SCORES, Differences, differences
from detzoo.export.plain_ops import PLAIN
from detzoo.export.program import Program, named
from detzoo.export.runners import INFO, needed
from detzoo.export.smaller import MOST, PRECISIONS, ExportPrecision, feeds, halve, quantize
from detzoo.predict.sources import load
from detzoo.predict.sources import pictures as read
from detzoo.suggest import unknown
from detzoo.typed import argument
from detzoo.user_path import user_path

log = logging.getLogger("detzoo.export")

Outputs: TypeAlias = tuple[str, ...]
ONNX = (("onnx", "export"), ("onnxscript", "export"), ("onnxruntime", "export"))
NEEDED = {".onnx": ONNX, ".xml": (*ONNX[:2], ("openvino", "openvino"))}
PICTURES = ("shapes/val/1", "shapes/val/2", "shapes/val/3")
# in scores and in pixels, how far a file may be off; of int8 the AP says what that is worth
TOLERANCES: dict[ExportPrecision, tuple[float, float]] = {
    "fp32": (SCORES, PIXELS),
    "fp16": (0.02, 2.0),
    "int8": (math.inf, math.inf),
}


class ExportError(ValueError):
    """A detector cannot be exported so, or the file would find something else than the detector."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        differences: of its results from the detector's.
        size: height and width of the only input that it takes, pixels; None: any.
        ap: of the detector and of the file, where they were evaluated.
    """

    path: Path
    differences: Differences
    size: tuple[int, int] | None
    ap: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Two lines, and one of AP."""
        takes = "images of any size" if self.size is None else "images of {} x {} pixels only".format(*self.size)
        ap = "" if self.ap is None else "\nAP {:.3f} of the detector, {:.3f} of the file".format(*self.ap)
        return f"{self.path}: takes {takes}, any number at once\n{self.differences}{ap}"


def export(
    detector: Detector,
    path: str | Path,
    *,
    size: int | str | tuple[int, int] | None = None,
    check: bool = True,
    tolerance: tuple[float, float] | None = None,
    pictures: Any = None,
    precision: ExportPrecision = "fp32",
    calibration: Any = None,
    data: Any = None,
) -> Exported:
    """Write a file that runs without detzoo; see `detzoo.detector.Detector.export`, which is the way to call it.

    Args:
        detector: on the CPU.
        path: of the file; its ending says the format.
        size: height and width of the only input; None: any that the method allows.
        check: False: write the file however much it differs.
        tolerance: how far scores and boxes (pixels) may be off; None: as `TOLERANCES` says.
        pictures: anything `detzoo.predict.sources` reads: three to compare with. None: generated ones.
        precision: what an ONNX file computes its convolutions and linear layers in.
        calibration: pictures whose ranges int8 is scaled by.
        data: a data set to evaluate detector and file on, for the AP that is lost.

    Raises:
        ExportError: there is no such format, the file cannot be made, or it would find something else.
        ModuleNotFoundError: what makes or runs such a file is not installed.
        ValueError: ``size`` is no size, or ``pictures`` are none.
    """
    path = user_path(path)
    write = check_format(path)
    if isinstance(detector, ExportedDetector):
        raise ExportError("this detector is an exported file: export the one that it was made of")
    full = in_precision(detector, "fp32")
    if full.device.type != "cpu":
        raise ExportError(f"a detector is exported on the cpu, this one is on {full.device.type}: detector.to('cpu')")
    _check_precision(precision, path, calibration, detector)
    if size is not None:
        full = with_canvas(full, _edges(size, full.config.input))
    shown = [picture(name) for name in PICTURES] if pictures is None else _shown(pictures)
    seen = () if calibration is None else read(calibration)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        made = Path(folder, path.name)
        taken, full = _captured(write, full, made)
        if precision == "fp16":
            halve(made)
        elif precision == "int8":
            quantize(made, feeds((load(one) for one in islice(iter(seen), MOST)), full.config.input))
        exported = open_exported(made)
        found = differences(full, exported, shown)
        if check and not found.within(*(tolerance or TOLERANCES[precision])):
            raise ExportError(
                f"{path} would not find what the detector finds, and is not written: {found}. check=False writes it "
                "all the same"
            )
        ap = None if data is None else (_ap(full, data), _ap(exported, data))
        report = made.with_name(f"{path.stem}.parity.json")
        more = {} if ap is None else {"ap_of_detector": ap[0], "ap_of_file": ap[1]}
        said = found.to_json(file=path.name, size=taken.size, precision=precision, **more)
        report.write_text(said + "\n", encoding="utf-8")
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
            with file.open("rb+") as written:
                os.fsync(written.fileno())
            file.replace(path.with_name(file.name))
    return Exported(path, found, taken.size, ap)


def check_format(path: str | Path) -> Callable[[Program, Capture, Outputs, FileInfo, Path], None]:
    """What writes a file of this name.

    Raises:
        ExportError: there is no such format.
        ModuleNotFoundError: a package that it needs is not installed; the message says how to install it.
    """
    path = user_path(path)
    suffix = path.suffix.lower()
    if suffix == ".engine":
        how = f"trtexec --onnx={path.stem}.onnx --saveEngine={path.name}"
        raise ExportError(
            f"{path.name}: TensorRT makes it of a .onnx file, on the machine and GPU that it is for: {how}"
        )
    if suffix not in FORMATS:
        raise ExportError(f"{path.name}: {unknown(path.suffix, FORMATS, 'format')}; there are {', '.join(FORMATS)}")
    for package, extra in NEEDED.get(suffix, ()):
        needed(package, path, extra)
    return FORMATS[suffix]


def _check_precision(precision: str, path: Path, calibration: Any, detector: Detector) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"{argument('precision', precision)}: {unknown(precision, PRECISIONS, 'precision')}")
    if precision != "fp32" and path.suffix.lower() != ".onnx":
        raise ExportError(f"{path.name}: fp16 and int8 are for .onnx files")
    if (precision == "int8") != (calibration is not None):
        raise ExportError(f"int8 goes with {argument('calibration')}, a folder of pictures like those it will see")
    if precision == "int8" and detector.takes_proposals:
        raise ExportError(f"{type(detector).__name__} is given boxes, and is not calibrated on pictures alone")


def _ap(detector: Detector, data: Any) -> float:
    """Of boxes, in [0, 1]; of a detector without classes the recall of its proposals."""
    metrics = evaluate(detector, data, progress=False, report=False).metrics
    return metrics["box_ap"] if "box_ap" in metrics else next(iter(metrics.values()))


def _edges(size: int | str | tuple[int, int], settings: Input) -> tuple[int, int]:
    """Height and width of ``480x640``, ``(480, 640)``, or of a square of ``640``.

    Raises:
        ValueError: it is neither, or no canvas of the method's.
    """
    given = str(size).split("x") if isinstance(size, int | str) else [str(edge) for edge in size]
    if len(given) > 2 or not all(edge.strip().isdecimal() and int(edge) for edge in given):
        raise ValueError(f"{argument('size', str(size))}: height and width in pixels, such as 480x640")
    height, width = int(given[0]), int(given[-1])
    fits = canvas_size(torch.tensor([[height, width]]), settings.replace(canvas=None))
    if (height, width) != fits:
        less = f", less {settings.less}" if settings.less else ""
        of = f"both are multiples of {settings.multiple}{less}, such as {fits[0]}x{fits[1]}"
        raise ValueError(f"{argument('size', f'{height}x{width}')}: {of}")
    return height, width


def _shown(source: Any) -> list[Any]:
    return [load(one) for one in islice(iter(read(source)), 3)]


def _captured(write: Callable[..., None], detector: Detector, path: Path) -> tuple[Capture, Detector]:
    """Write the file, for images of any size or, where the method's graph does not allow that, of one."""
    taken = capture(detector)
    try:
        _write(write, detector, taken, path)
    except ImportError:
        raise
    except Exception as error:  # torch and the exporters have many classes for what they cannot do
        if taken.size is not None:
            raise ExportError(f"{type(detector).__name__} has no form in {path.suffix}: {_why(error)}") from error
        size = _usual(detector.config.input)
        log.warning("images of any size are not possible (%s): the file takes %d x %d only", _why(error), *size)
        return _captured(write, with_canvas(detector, size), path)
    return taken, detector


def _why(error: BaseException) -> str:
    """The first line of the error that an exporter's began with, without its colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip()
    return (said.split("\n")[0] or type(error).__name__)[:300]


def _usual(settings: Input) -> tuple[int, int]:
    """Height and width of the input that most pictures become."""
    return canvas_size(torch.tensor([[settings.short, settings.long]]), settings)


def _write(write: Callable[..., None], detector: Detector, taken: Capture, path: Path) -> None:
    pixels, sizes, *boxes = taken.inputs.values()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporters warn of what is theirs to mend
        example = detector.detect(detector.normalize(pixels, sizes), *boxes)
        outputs = tuple(named(example))
        masks = "" if "masks" not in outputs else "crops" if example.dense is None else "dense"
        info = info_of(detector, "fp32", masks, example.mask_threshold, taken.least, taken.size)
        write(Program(detector).eval(), taken, outputs, info, path)
    _run(taken, _usual(detector.config.input), path)


def _run(taken: Capture, usual: tuple[int, int], path: Path) -> None:
    """Run a file on one image; one for any size on smaller and larger ones than the example, for which it may not hold.

    Raises:
        Exception: whatever the file raises.
    """
    exported = open_exported(path)
    rows, columns = taken.inputs["images"].shape[2:]
    step = exported.info.input.multiple
    sizes = (taken.least, (rows + 2 * step, columns + step), usual) if taken.size is None else (taken.size,)
    for height, width in sizes:
        more = {"sizes": torch.tensor([[height, width]]), "images": torch.zeros(1, 3, height, width, dtype=torch.uint8)}
        exported.runner({name: more.get(name, tensor[:1]) for name, tensor in taken.inputs.items()})


def _write_torch(program: Program, taken: Capture, outputs: Outputs, info: FileInfo, path: Path) -> None:
    """With the operators of torch and torchvision alone."""
    captured = torch.export.export(program, tuple(taken.inputs.values()), dynamic_shapes=taken.dynamic)
    plain = captured.run_decompositions(PLAIN)
    torch.export.save(plain, path, extra_files={INFO: json.dumps(info.texts())})


def _write_onnx(program: Program, taken: Capture, outputs: Outputs, info: FileInfo, path: Path) -> None:
    from detzoo.export.onnx import to_onnx

    example = tuple(taken.inputs.values())
    model = to_onnx(program, example, dynamic=taken.dynamic, inputs=tuple(taken.inputs), outputs=outputs)
    for name, text in info.texts().items():
        model.metadata_props.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())


def _write_openvino(program: Program, taken: Capture, outputs: Outputs, info: FileInfo, path: Path) -> None:
    """From the ONNX file, through OpenVINO's own converter."""
    import openvino

    between = path.with_name("between.onnx")
    _write_onnx(program, taken, outputs, info, between)
    model = openvino.convert_model(between)
    between.unlink()
    for name, text in info.texts().items():
        model.set_rt_info(text, ["detzoo", name])
    openvino.save_model(model, path, compress_to_fp16=False)


FORMATS: dict[str, Callable[[Program, Capture, Outputs, FileInfo, Path], None]] = {
    ".onnx": _write_onnx,
    ".pt2": _write_torch,
    ".xml": _write_openvino,
}
