"""`export`: a detector into a file that runs elsewhere, compared with the detector before it is there."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from detzoo.arguments import count
from detzoo.config import ConfigError
from detzoo.data.shapes import picture
from detzoo.detector import Detector
from detzoo.evaluate.inference import in_precision
from detzoo.export.capture import Capture, capture
from detzoo.export.exported import open_exported
from detzoo.export.info import FileInfo, info_of
from detzoo.export.parity import PIXELS, SCORES, Differences, differences
from detzoo.export.program import Program, named
from detzoo.export.runners import INFO, needed
from detzoo.nearest import unknown
from detzoo.predict.sources import load, pictures

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
PICTURES = ("shapes/val/1", "shapes/val/2", "shapes/val/3")


class ExportError(ValueError):
    """A detector cannot be exported so, or the file would find something else than the detector."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        differences: of its results from the detector's.
        size: height and width of the only input that it takes, pixels; None: any.
    """

    path: Path
    differences: Differences
    size: tuple[int, int] | None

    def __str__(self) -> str:
        """Two lines."""
        takes = "images of any size" if self.size is None else "images of {} x {} pixels only".format(*self.size)
        return f"{self.path}: takes {takes}, any number at once\n{self.differences}"


def export(
    detector: Detector,
    path: str | Path,
    *,
    size: int | str | tuple[int, int] | None = None,
    precision: Precision = "fp32",
    check: bool = True,
    tolerance: tuple[float, float] = (SCORES, PIXELS),
    pictures: Any = None,
) -> Exported:
    """Write a file that runs without detzoo; see `detzoo.detector.Detector.export`, which is the way to call it."""
    path = Path(path).expanduser()
    write = FORMATS.get(path.suffix.lower())
    if write is None:
        kind = unknown(path.suffix, FORMATS, "format")
        raise ExportError(f"{path.name}: {kind}; there are {', '.join(FORMATS)}")
    if type(detector).export is not Detector.export:
        raise ExportError("this detector is an exported file")
    full = in_precision(detector.with_settings(size=size), "fp32")
    if full.device.type != "cpu":
        raise ExportError(f"a detector is exported on the cpu, this one is on {full.device.type}: detector.to('cpu')")
    shown = [picture(name) for name in PICTURES] if pictures is None else _shown(pictures)
    taken = capture(full, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder, _quiet():
        made = Path(folder, path.name)
        with torch.no_grad():
            example = full.detect(full.normalize(*list(taken.inputs.values())[:2]), *list(taken.inputs.values())[2:])
        masks = "" if "masks" not in named(example) else "dense" if example.dense is not None else "crops"
        info = info_of(full, precision, masks, example.mask_threshold, taken.least, taken.size)
        write(Program(full).eval(), taken, tuple(named(example)), info, made)
        found = differences(full, open_exported(made), shown)
        if check and not found.within(*tolerance):
            raise ExportError(
                f"{path} would not find what the detector finds, and is not written: {found}. check=False writes it "
                "all the same"
            )
        report = made.with_name(f"{path.stem}.parity.json")
        report.write_text(found.to_json(file=path.name, precision=precision) + "\n", encoding="utf-8")
        for file in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):
            with file.open("rb+") as written:
                os.fsync(written.fileno())
            file.replace(path.with_name(file.name))
    return Exported(path, found, taken.size)


def _shown(source: Any) -> list[Any]:
    return [load(one) for _, one in zip(range(3), pictures(source), strict=False)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of what is theirs to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


Outputs: TypeAlias = tuple[str, ...]


def _write_torch(program: Program, taken: Capture, outputs: Outputs, info: FileInfo, path: Path) -> None:
    """With the operators of torch and torchvision alone."""
    from detzoo.export.plain_ops import PLAIN

    with torch.no_grad():
        captured = torch.export.export(program, tuple(taken.inputs.values()), dynamic_shapes=taken.dynamic)
        plain = captured.run_decompositions(PLAIN)
    torch.export.save(plain, path, extra_files={INFO: json.dumps(info.texts())})


def _write_onnx(program: Program, taken: Capture, outputs: Outputs, info: FileInfo, path: Path) -> None:
    needed("onnxscript", path, "export")
    from detzoo.export.onnx import to_onnx

    example = tuple(taken.inputs.values())
    model = to_onnx(program, example, dynamic=taken.dynamic, inputs=tuple(taken.inputs), outputs=outputs)
    for name, text in info.texts().items():
        model.metadata_props.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())


def _write_openvino(program: Program, taken: Capture, outputs: Outputs, info: FileInfo, path: Path) -> None:
    """From the ONNX file, through OpenVINO's own converter."""
    openvino = needed("openvino", path, "openvino")
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
