"""Whether every method learns: its recipe for the generated shapes, trained from nothing for minutes on a CPU.

    python -m benchmarks.learns [PATTERN ...]

writes ``results/learns.csv``: a row per recipe of `detzoo.recipes.shapes` with AP of boxes and of masks (of an RPN the
recall of 100 proposals) on the validation pictures, epochs, and minutes of the processor. A pattern, such as ``mask*``,
trains only those whose name fits; rows of the others stay. What distils is given its teacher's file, which is trained
first.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

import detzoo
from benchmarks.machine import versions
from benchmarks.table import merge
from detzoo.methods.ld import LD
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.shapes import RECIPES

ENOUGH = 0.3  # box AP, or recall
TEACHER = "gfl_r18_fpn_shapes"


def measure(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """One row."""
    torch.manual_seed(0)
    if isinstance(recipe.model, LD.Config):
        detzoo.train(TEACHER, out=folder / "teacher", device="cpu", progress=False, report=False)
        distillation = recipe.model.distillation.replace(teacher=str(folder / "teacher" / "best.safetensors"))
        recipe = recipe.replace(model=recipe.model.replace(distillation=distillation))
    started = time.process_time()
    trained = detzoo.train(recipe, out=folder / "run", device="cpu", progress=False, report=False)
    minutes = (time.process_time() - started) / 60
    metrics = detzoo.evaluate(trained.detector, recipe.data, progress=False).metrics
    names = {"box_ap": "box_ap", "mask_ap": "mask_ap", "ar100": "proposal_ar100"}
    return {
        "recipe": recipe.name,
        **{column: f"{metrics[name]:.3f}" if name in metrics else "" for column, name in names.items()},
        "enough": "yes" if metrics.get("box_ap", metrics.get("proposal_ar100", 0.0)) >= ENOUGH else "no",
        "epochs": recipe.schedule.epochs,
        "minutes": f"{minutes:.1f}",
        "threads": torch.get_num_threads(),
        **versions(("torch",)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", default=["*"])
    parser.add_argument("--out", type=Path, default=Path("results/learns.csv"))
    options = parser.parse_args()
    names = tuple(recipe.name for recipe in RECIPES)
    for recipe in RECIPES:
        if any(fnmatch(recipe.name, pattern) for pattern in options.patterns):
            with tempfile.TemporaryDirectory() as folder:
                row = measure(recipe, Path(folder))
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)
            merge(options.out, [row], ("recipe",), {"recipe": names})


if __name__ == "__main__":
    main()
