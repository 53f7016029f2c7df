"""Train from random weights on two small real data sets and write what came out to ``results/real_data/``.

    python -m benchmarks.real_data --data DIR

DIR holds ``bccd`` (blood cells, Pascal VOC layout) and ``pennfudan`` (pedestrians with masks, COCO layout). Each run
takes less than 30 minutes on two cores. A run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

import detzoo
from detzoo.data.dataset import open_dataset
from detzoo.data.source import as_data
from detzoo.recipes.recipe import Recipe
from detzoo.train.loop import Trained

RESULTS = Path(__file__).parents[1] / "results" / "real_data"
PICTURES = 4


class Case(NamedTuple):
    """A data set, what is trained on it, and the box AP50 that it has to reach."""

    folder: str
    recipe: str
    least: float


CASES = (Case("bccd", "faster_rcnn_r18_fpn_gn_small", 0.6), Case("pennfudan", "mask_rcnn_r18_fpn_gn_small", 0.5))


def run(case: Case, data: Path, runs: Path, overrides: list[str]) -> dict[str, Any]:
    """Train, evaluate, draw; returns the numbers."""
    out = runs / case.folder
    started = time.perf_counter()
    trained = detzoo.train(
        case.recipe,
        data=data,
        out=out,
        overrides=overrides,
        resume=(out / "last.state").exists(),
        progress=False,
        report=False,  # minutes of training are measured
    )
    seconds = time.perf_counter() - started
    report = detzoo.evaluate(trained.detector, data, metric="coco", progress=False, workers=0)
    print(report.summary())
    results = RESULTS / case.folder
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    shutil.copy(trained.curves, results / "curves.png")
    report.save(results / "report.json")
    pictures(trained, data, results)
    recipe = trained.detector.recipe
    assert isinstance(recipe, Recipe)
    return {
        "data": case.folder,
        "recipe": case.recipe,
        "overrides": overrides,
        "epochs": len(trained.history),
        "train_minutes": round(seconds / 60, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "metrics": {name: round(value, 4) for name, value in report.metrics.items()},
        "required_box_ap50": case.least,
        "passed": report.metrics["box_ap50"] >= case.least,
    }


def pictures(trained: Trained, data: Path, folder: Path) -> None:
    """Predictions on the first validation images."""
    settings = as_data(data)
    dataset = open_dataset(settings, "val", trained.detector.config.input, False)
    paths = [str(Path(settings.root) / dataset.annotations.files[index]) for index in range(PICTURES)]
    for index, found in enumerate(trained.detector.predict(paths, threshold=0.5)):
        found.save(folder / f"sample_{index}.jpg")


def main() -> int:
    """Entry point; non-zero where an AP is below what is asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with bccd/ and pennfudan/")
    parser.add_argument("--only", choices=[case.folder for case in CASES])
    parser.add_argument("--runs", type=Path, default=Path("runs/real_data"), help="where checkpoints and logs go")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("overrides", nargs="*", metavar="a.b.c=value")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    passed = True
    for case in CASES:
        if arguments.only in (None, case.folder):
            numbers = run(case, arguments.data / case.folder, arguments.runs, arguments.overrides)
            text = json.dumps(numbers, indent=2)
            (RESULTS / case.folder / "summary.json").write_text(text + "\n")
            print(text)
            passed &= numbers["passed"]
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
