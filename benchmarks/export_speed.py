"""Time of one prediction on a CPU: in PyTorch, compiled, and as exported files in ONNX Runtime and OpenVINO.

    python -m benchmarks.export_speed

One picture of 800 x 1344, from uint8 pixels to boxes, scores and labels (masks of Mask R-CNN on their boxes' grids),
with weights that make about as many candidates as trained ones (`benchmarks.peers`). The ways take turns in one
process, all on ``--threads`` threads, after each has been run once:

* ``torch`` and ``torch bf16``, the latter under autocast; ``compile``: `torch.compile` with Inductor for this size;
* ``onnxruntime``, and ``onnxruntime int8`` of the file that ``precision="int8"`` writes;
* ``openvino``, ``openvino bf16`` (its precision hint), and ``openvino int8`` of that same int8 file.

int8 is calibrated on pictures like the one that is timed; random weights have no accuracy to lose, so that the
``found`` of each way, its detections, only shows that it had about the same to do. Writes ``results/export_speed.csv``,
a row per method and way. Milliseconds are of processor time; ``ratio`` is the median of those to torch's in the same
round; below 1 is faster. A way that does not run here has its reason in ``error``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from torch import Tensor

from benchmarks.machine import cpu_name, versions
from benchmarks.peers import make_pair
from benchmarks.scenes import make_pictures
from benchmarks.table import merge
from benchmarks.turns import in_turns
from detzoo.detector import Detector
from detzoo.export.program import Program
from detzoo.export.runners import OnnxRunner

METHODS = ("faster_rcnn", "mask_rcnn", "retinanet")
SIZE = (800, 1344)
CALIBRATED = 4  # pictures
LIBRARIES = ("torch", "onnxruntime", "openvino")

Run = Callable[[], Mapping[str, Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", choices=METHODS, action="append", help="default: all")
    parser.add_argument("--size", type=int, nargs=2, default=SIZE, metavar=("H", "W"), help="pixels, multiples of 32")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/export_speed.csv"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for method in args.method or METHODS:
        rows = measure(method, tuple(args.size), args.rounds)
        for row in rows:
            print(*row.values(), flush=True)
        merge(args.out, rows, ("method", "way"), {"method": METHODS})


def measure(method: str, size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """Rows of the table for one method."""
    detector, pictures = make_pair(method, size).ours.model.eval(), make_pictures(1 + CALIBRATED, size)
    given = {"images": pictures[:1], "sizes": torch.tensor([size])}
    with tempfile.TemporaryDirectory() as folder:
        makers = _makers(detector, given, pictures[1:], Path(folder))
        ways, errors = _ready(makers)
        times = in_turns(ways, rounds, ours="torch", digits=0)
    more = {"threads": torch.get_num_threads()} | versions(LIBRARIES) | {"cpu": cpu_name()}
    start = {"method": method, "height": size[0], "width": size[1], "rounds": rounds}
    rows = []
    for way in makers:
        found = int(ways[way]()["valid"].sum()) if way in ways else ""
        rows.append(start | {"way": way, "error": errors.get(way, ""), "found": found} | times.get(way, {}) | more)
    return rows


def _ready(makers: Mapping[str, Callable[[], Run]]) -> tuple[dict[str, Run], dict[str, str]]:
    """Ways that ran once, and of the others why they did not."""
    ways: dict[str, Run] = {}
    errors: dict[str, str] = {}
    for way, make in makers.items():
        try:
            run = make()
            run()
            ways[way] = run
        except Exception as error:  # the other ways' rows are wanted all the same
            errors[way] = f"{type(error).__name__}: {error}".split("\n")[0]
    return ways, errors


def _makers(
    detector: Detector, given: Mapping[str, Tensor], seen: Tensor, folder: Path
) -> Mapping[str, Callable[[], Run]]:
    """What makes each way ready to run on ``given``; files are written to ``folder``."""
    program = Program(detector)
    size = (given["images"].shape[-2], given["images"].shape[-1])
    pictures: list[np.ndarray] = [np.ascontiguousarray(one.permute(1, 2, 0).numpy()) for one in seen]

    def in_torch(model: Callable[..., Mapping[str, Tensor]], half: bool = False) -> Run:
        @torch.no_grad()
        def run() -> Mapping[str, Tensor]:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                return model(**given)

        return run

    def written(precision: Any) -> Path:
        path = folder / f"{precision}.onnx"
        if not path.exists():
            calibration = pictures if precision == "int8" else None
            # random weights have near ties, which another runtime may break otherwise
            detector.export(path, size=size, check=False, precision=precision, calibration=calibration)
        return path

    def in_onnxruntime(precision: str) -> Run:
        runner = OnnxRunner(written(precision), torch.device("cpu"))
        return lambda: runner(given)

    def in_openvino(precision: str, hint: str) -> Run:
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        model = openvino.Core().compile_model(openvino.convert_model(written(precision)), "CPU", settings)
        feed = {name: value.numpy() for name, value in given.items()}

        def run() -> Mapping[str, Tensor]:
            found = model(feed)
            return {port.get_any_name(): torch.from_numpy(found[port].copy()) for port in model.outputs}

        return run

    return {
        "torch": lambda: in_torch(program),
        "torch bf16": lambda: in_torch(program, half=True),
        "compile": lambda: in_torch(torch.compile(program, fullgraph=True, dynamic=False)),
        "onnxruntime": lambda: in_onnxruntime("fp32"),
        "onnxruntime int8": lambda: in_onnxruntime("int8"),
        "openvino": lambda: in_openvino("fp32", "f32"),
        "openvino bf16": lambda: in_openvino("fp32", "bf16"),
        "openvino int8": lambda: in_openvino("int8", "f32"),
    }


if __name__ == "__main__":
    main()
