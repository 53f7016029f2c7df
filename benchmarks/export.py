"""Every method through `torch.compile` and `torch.export`, and how far its results are from those without.

    python -m benchmarks.export

writes ``results/export.csv``: the largest difference of boxes (pixels) and scores on a small detector of each method
and of those with deformable convolution (`tests.tiny.FORMS`).
``compile`` captures prediction as one graph (``fullgraph=True``) for the shapes at hand; ``export`` captures it for any
number of images, and runs what it captured with 1 and with 3. ``aot_eager``, the backend of ``compile``, takes a graph
all the way to single operators without mutation, shapes from fake kernels included, and runs those: it proves what is
captured; which code a backend makes of the operators is not the method's business.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.table import merge
from detzoo.detector import Detector
from detzoo.types import Images
from tests.tiny import FORMS, images, proposals, tiny

TRACED = 2  # images that an exported graph is captured with
BATCHES = (1, 3)  # images that it is run with

Run = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


class Prediction(nn.Module):
    """`Detector.detect` with tensors in and out, the form that can be exported: a module's ``forward``."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector
        self.given = proposals(0) if detector.takes_proposals else None

    def forward(self, pixels: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        """Boxes, scores, labels, valid and, of a detector with masks, crops; see `detzoo.types.Detections`."""
        given = {} if self.given is None else {"proposals": self.given.expand(pixels.shape[0], -1, -1)}
        found = self.detector.detect(Images(pixels, sizes), **given)
        parts = (found.boxes, found.scores, found.labels, found.valid, found.crops, found.dense)
        return tuple(part for part in parts if part is not None)


class Differences(NamedTuple):
    """Largest differences between two runs of a detector; infinite where classes, slots or shapes differ."""

    boxes: float
    scores: float
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


def compare(detector: Detector, run: Run, batch: Images) -> Differences:
    """Differences between a captured prediction and the detector's own."""
    with torch.no_grad():
        wanted = Prediction(detector)(batch.pixels, batch.sizes)
    ours = run(batch.pixels, batch.sizes)
    alike = all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(ours, wanted, strict=True))
    if not alike or not torch.equal(ours[2], wanted[2]) or not torch.equal(ours[3], wanted[3]):
        return Differences(float("inf"), float("inf"), int(wanted[3].sum()))
    boxes, scores = (float((a - b).abs().max()) for a, b in zip(ours[:2], wanted[:2], strict=True))
    return Differences(boxes, scores, int(wanted[3].sum()))


def small(form: str) -> Detector:
    """A small detector, one of `FORMS`, that finds something with random weights, ready to predict."""
    return tiny(form, box_head={"threshold": 0.0}, head={"threshold": 0.0}).eval()


def rows(form: str, backend: str) -> Iterator[dict[str, str | int | float]]:
    """Rows of the table for one of `FORMS`; a failure is a row, too."""
    modes: tuple[tuple[str, Callable[[Detector], Run], tuple[int, ...]], ...] = (
        (f"compile {backend}", lambda detector: compiled(detector, backend), (TRACED,)),
        ("export", lambda detector: exported(detector, images(TRACED)), BATCHES),
    )
    for mode, capture, batches in modes:
        detector, start = small(form), time.perf_counter()
        row: dict[str, str | int | float] = {"method": form, "mode": mode}
        try:
            run = capture(detector)
            for batch in batches:
                found = compare(detector, run, images(batch))
                yield {**row, "batch": batch, **found._asdict(), "error": ""}
        except Exception as error:  # the other methods' rows are wanted all the same
            yield {**row, "batch": "", "boxes": "", "scores": "", "found": "", "error": str(error).split("\n")[0]}
        print(f"{form} {mode}: {time.perf_counter() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--method", choices=tuple(FORMS), action="append")
    parser.add_argument("--backend", default="aot_eager", help="of torch.compile")
    parser.add_argument("--out", type=Path, default=Path("results/export.csv"))
    args = parser.parse_args()
    table = []
    for form in args.method or FORMS:
        table += rows(form, args.backend)
    for row in table:
        print(*row.values())
    merge(args.out, table, ("method", "mode", "batch"), {"method": tuple(FORMS)})


if __name__ == "__main__":
    main()
