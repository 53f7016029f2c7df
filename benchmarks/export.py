"""Every method through `torch.compile`, `torch.export`, ONNX and OpenVINO: how far its results are from those without.

    python -m benchmarks.export

writes ``results/export.csv``: the largest difference of boxes (pixels), scores and masks (probabilities; of masks of
whole pictures the share of other pixels) on a small detector of each method and of its other forms
(`tests.tiny.FORMS`).
``compile`` captures prediction as one graph (``fullgraph=True``) for the shapes at hand; ``export`` captures it for any
number of images, and runs what it captured with 1 and with 3. ``aot_eager``, the backend of ``compile``, takes a graph
all the way to single operators without mutation, shapes from fake kernels included, and runs those: it proves what is
captured; which code a backend makes of the operators is not the method's business.
``onnx`` is a model for any number of images in ONNX Runtime, whose kernels add in another order than torch's. Where
scores are equal to the last digits, detections may so change places; they are compared with those that they are.
``openvino`` is the same model, converted.
"""

from __future__ import annotations

import argparse
import functools
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.table import merge
from detzoo.detector import Detector
from detzoo.export.program import OUTPUTS, named
from detzoo.types import Images
from tests.tiny import FORMS, images, proposals, tiny

TRACED = 2  # images that an exported graph is captured with
BATCHES = (1, 3)  # images that it is run with
# forms in which random weights let every signal fade, so that all scores are equal; their norms see some pictures first
FAINT = ("FasterRCNN-mobilenet-v1", "SSD-separable")
TIES = 1e-6  # scores that are as near may change places where other kernels ran
INPUTS = ("pixels", "sizes")
IN_OPENVINO = ("FasterRCNN", "MaskRCNN", "RetinaNet", "FCOS", "SSD", "YOLOv3", "DETR")

Run = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class Prediction(nn.Module):
    """`Detector.detect` with tensors in and out, the form that can be exported: a module's ``forward``."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.given = proposals(0) if detector.takes_proposals else None

    def forward(self, pixels: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """As `detzoo.export.program.Program`, of images that are normalized already."""
        given = {} if self.given is None else {"proposals": self.given.expand(pixels.shape[0], -1, -1)}
        found = self.detector.detect(Images(pixels, sizes), **given)
        return tuple(named(found).values())


class Differences(NamedTuple):
    """Largest differences between two runs of a detector; infinite where classes, slots or shapes differ."""

    boxes: float
    scores: float
    masks: float
    found: int  # detections that were compared


def compiled(detector: Detector, backend: str = "aot_eager") -> Run:
    """Prediction as one graph for the shapes that it is first called with."""
    torch.compiler.reset()
    run = torch.compile(Prediction(detector), fullgraph=True, dynamic=False, backend=backend)
    return torch.no_grad()(run)


def exported(detector: Detector, example: Images) -> Run:
    """Prediction as an exported program for any number of images of the example's size."""
    count = torch.export.Dim("images", min=1, max=64)
    with torch.no_grad():
        program = torch.export.export(
            Prediction(detector), (example.pixels, example.sizes), dynamic_shapes=({0: count}, {0: count})
        )
    return torch.no_grad()(program.module())


def onnx_model(detector: Detector, example: Images) -> tuple[bytes, Sequence[str]]:
    """Prediction as an ONNX model for any number of images of the example's size, and the names of its results."""
    from detzoo.export.onnx import to_onnx  # late: the other ways do without its packages

    model, count = Prediction(detector).eval(), torch.export.Dim("images", min=1, max=64)
    given = (example.pixels, example.sizes)
    with torch.no_grad():
        outputs = OUTPUTS[: len(model(*given))]
    made = to_onnx(model, given, dynamic=({0: count}, {0: count}), inputs=INPUTS, outputs=outputs)
    return made.SerializeToString(), outputs


def in_onnx(detector: Detector, example: Images) -> Run:
    """Prediction in ONNX Runtime."""
    import onnxruntime

    model, outputs = onnx_model(detector, example)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    used = {given.name for given in session.get_inputs()}

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        feed = {name: value.numpy() for name, value in zip(INPUTS, given, strict=True) if name in used}
        return tuple(torch.from_numpy(value) for value in session.run(outputs, feed))

    return run


def in_openvino(detector: Detector, example: Images) -> Run:
    """Prediction in OpenVINO, in float32."""
    import openvino

    model, outputs = onnx_model(detector, example)
    network = openvino.convert_model(io.BytesIO(model))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(network, "CPU", settings)
    used = {name for given in compiled.inputs for name in given.names}

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        feed = {name: value.numpy() for name, value in zip(INPUTS, given, strict=True) if name in used}
        found = compiled(feed)
        return tuple(torch.from_numpy(found[name].copy()) for name in outputs)

    return run


def compare(detector: Detector, run: Run, batch: Images, ties: float = 0.0) -> Differences:
    """Differences between a captured prediction and the detector's own; ``ties``: as `TIES`."""
    with torch.no_grad():
        wanted = Prediction(detector)(batch.pixels, batch.sizes)
    ours, count = run(batch.pixels, batch.sizes), int(wanted[3].sum())
    alike = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(ours, wanted, strict=True))
    if alike and ties:
        ours = _in_order(ours, wanted, ties)
    if not alike or not torch.equal(ours[2], wanted[2]) or not torch.equal(ours[3], wanted[3]):
        return Differences(float("inf"), float("inf"), float("inf"), count)
    apart = [(a.float() - b.float()).abs() for a, b in zip(ours, wanted, strict=True)]
    boxes, scores = (float(part.max()) for part in apart[:2])
    whole = wanted[-1].dtype == torch.bool
    masks = 0.0 if len(apart) == 4 else float(apart[4].mean() if whole else apart[4].max())
    return Differences(boxes, scores, masks, count)


def _in_order(ours: tuple[Tensor, ...], wanted: tuple[Tensor, ...], ties: float) -> tuple[Tensor, ...]:
    """The first of these in the order of the others, as far as scores that are this near allow."""
    boxes, scores, labels, valid = (
        a.unsqueeze(1).float() - b.unsqueeze(2).float() for a, b in zip(ours[:4], wanted[:4], strict=True)
    )
    other = (scores.abs() > ties) | (labels != 0) | (valid != 0)
    cost = torch.where(other, 1e9, boxes.abs().amax(3))  # [N, slots of wanted, slots of ours]
    order = torch.stack([torch.from_numpy(linear_sum_assignment(image.numpy())[1]) for image in cost])
    return tuple(part[torch.arange(len(order)).unsqueeze(1), order] for part in ours)


def small(form: str) -> Detector:
    """A small detector, one of `FORMS`, that finds something with random weights, ready to predict."""
    detector = tiny(form, box_head={"threshold": 0.0}, head={"threshold": 0.0}).eval()
    norms = [one for one in detector.modules() if isinstance(one, _BatchNorm)] if form in FAINT else []
    for _ in range(30 if norms else 0):
        for norm in norms:
            norm.train()
        with torch.no_grad():
            detector.detect(images(TRACED))
    return detector.eval()


# captures and batches of a way, and whether others than torch's kernels run
Way = tuple[Callable[[Detector], Run], tuple[int, ...], float]


def ways(backend: str) -> dict[str, Way]:
    """Ways to run a detector by their names in the table."""
    return {
        f"compile {backend}": (functools.partial(compiled, backend=backend), (TRACED,), 0.0),
        "export": (lambda detector: exported(detector, images(TRACED)), BATCHES, 0.0),
        "onnx": (lambda detector: in_onnx(detector, images(TRACED)), BATCHES, TIES),
        "openvino": (lambda detector: in_openvino(detector, images(TRACED)), BATCHES, TIES),
    }


def rows(form: str, mode: str, way: Way) -> Iterator[dict[str, str | int | float]]:
    """Rows of the table for one of `FORMS`; a failure is a row, too."""
    capture, batches, ties = way
    detector, start = small(form), time.process_time()
    row: dict[str, str | int | float] = {"method": form, "mode": mode}
    try:
        run = capture(detector)
        for batch in batches:
            found = compare(detector, run, images(batch), ties)
            yield {**row, "batch": batch, **found._asdict(), "error": ""}
    except Exception as error:  # the other methods' rows are wanted all the same
        empty = dict.fromkeys(Differences._fields, "")
        yield {**row, "batch": "", **empty, "error": str(error).split("\n")[0]}
    print(f"{form} {mode}: {time.process_time() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", choices=tuple(FORMS), action="append")
    parser.add_argument("--mode", help="only this way: compile, export, onnx or openvino")
    parser.add_argument("--backend", default="aot_eager", help="of torch.compile")
    parser.add_argument("--out", type=Path, default=Path("results/export.csv"))
    args = parser.parse_args()
    for form in args.method or FORMS:
        for mode, way in ways(args.backend).items():
            if args.mode in (None, mode.split()[0]) and (mode != "openvino" or form in IN_OPENVINO):
                found = list(rows(form, mode, way))
                for row in found:
                    print(*row.values(), flush=True)
                merge(args.out, found, ("method", "mode", "batch"), {"method": tuple(FORMS)})


if __name__ == "__main__":
    main()
