"""The demonstration: everything once, on generated pictures, ending in one page that says what happened."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from detzoo.atomic import write_atomically
from detzoo.config import ConfigError
from detzoo.data.dataset import open_dataset
from detzoo.data.shapes import picture
from detzoo.detector import Detector
from detzoo.evaluate.run import evaluate
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.zoo import find
from detzoo.report.images import inlined
from detzoo.report.page import Page
from detzoo.train.log import read_log
from detzoo.train.loop import Trained, train
from detzoo.train.report import training_sections
from detzoo.user_path import user_path

RECIPE = "mask_rcnn_r18_fpn_shapes"
ENOUGH = 0.5  # box AP that the demonstration has to reach
PICTURES = 8
SHOWN = 0.5  # least score of what is drawn


@dataclass(frozen=True, slots=True)
class Demo:
    """What `demo` leaves.

    Attributes:
        out: folder of everything.
        page: the summary, one HTML file that needs no other.
        weights: what was trained, for `detzoo.load`.
        metrics: numbers in [0, 1], ``box_ap`` and ``mask_ap`` among them.
        seconds: what it took, all in all.
    """

    out: Path
    page: Path
    weights: Path
    metrics: dict[str, float]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether box AP is above 0.5."""
        return self.metrics["box_ap"] > ENOUGH


def demo(
    out: str | Path = "runs/demo", *, recipe: str | Recipe = RECIPE, device: str | torch.device | None = None
) -> Demo:
    """Train a small Mask R-CNN on generated pictures, evaluate it, predict, and write a page about it.

    At most 5 minutes on 2 cores, and nothing is downloaded.

    Args:
        out: folder for ``index.html``, ``metrics.json``, ``pictures``, ``predictions`` and the training ``run``.
            An earlier demonstration there is replaced.
        recipe: what to train; its data are ``shapes``.
        device: None: CUDA, else MPS, else CPU.

    Raises:
        ConfigError: the recipe is unknown or learns from other data than ``shapes``.
        FileExistsError: ``out`` holds a run that no demonstration made.
        OSError: something cannot be written.
    """
    start = time.perf_counter()
    out = user_path(out)
    recipe = find(recipe) if isinstance(recipe, str) else recipe
    if recipe.data.kind != "shapes":
        raise ConfigError(f"{recipe.name} learns from {recipe.data.kind} data; the demo needs shapes")
    _clear(out, recipe)
    trained = train(recipe, out=out / "run", device=device, report=False)
    trained_in = time.perf_counter() - start
    drawn = _predict(trained.detector, out)
    weights = trained.best or trained.last
    page = Page(
        out / "index.html", "detzoo demo", "demo.html", _known(out, recipe, trained, drawn, weights, trained_in)
    )
    report = evaluate(trained.detector, recipe.data, report=page)
    print(report.summary())
    record = {
        "recipe": recipe.name,
        "metrics": report.metrics,
        "per_class": report.per_class,
        "training_seconds": round(trained_in, 1),
        "seconds": round(time.perf_counter() - start, 1),
    }
    text = json.dumps(record, indent=2) + "\n"
    write_atomically(out / "metrics.json", lambda path: path.write_text(text, encoding="utf-8"))
    return Demo(out, page.path, weights, report.metrics, time.perf_counter() - start)


def _clear(out: Path, recipe: Recipe) -> None:
    """Remove what an earlier demonstration left, and nothing else."""
    written = out / "run" / "recipe.json"
    ours = written.is_file() or not any((out / name).exists() for name in ("index.html", "metrics.json", "pictures"))
    if not ours:
        raise FileExistsError(f"{out} holds files that no demonstration made: choose another folder with --out")
    if written.is_file() and json.loads(written.read_text(encoding="utf-8")).get("name") == recipe.name:
        shutil.rmtree(out / "run")


def _predict(detector: Detector, out: Path) -> list[Path]:
    """Write validation pictures, and the same with what was found in them; the latter are returned."""
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(PICTURES):
        path = folder / f"{number:02d}.png"
        Image.fromarray(picture(f"shapes/val/{number}")).save(path)
        paths.append(path)
    found = detector.predict(paths, threshold=SHOWN)
    return [result.save(out / "predictions" / path.name) for path, result in zip(paths, found, strict=True)]


def _known(
    out: Path, recipe: Recipe, trained: Trained, drawn: list[Path], weights: Path, trained_in: float
) -> dict[str, Any]:
    """What the page says besides the report of an evaluation, with all pictures inside it."""
    parameters = sum(parameter.numel() for parameter in trained.detector.parameters())
    dataset = open_dataset(recipe.data, "train", recipe.model.input, True)
    return {
        **training_sections(read_log(trained.log), dataset, recipe.schedule.seed, trained.ended),
        "device": str(trained.detector.device),
        "recipe": recipe,
        "images": sum(split.count for split in recipe.data.train),
        "parameters": f"{parameters / 1e6:.1f}",
        "minutes": f"{trained_in / 60:.1f}",
        "enough": ENOUGH,
        "shown": SHOWN,
        "drawn": [(path.name, _inlined(path)) for path in drawn],
        "weights": weights,
        "pictures": out / "pictures",
    }


def _inlined(path: Path) -> str:
    with Image.open(path, formats=["PNG", "JPEG"]) as image:
        return inlined(image)
