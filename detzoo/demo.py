"""The demonstration: everything once, on generated pictures, ending in one page that says what happened."""

from __future__ import annotations

import base64
import io
import json
import platform
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

import detzoo
from detzoo.atomic import write_atomically
from detzoo.config import ConfigError
from detzoo.data.shapes import picture
from detzoo.detector import Detector
from detzoo.evaluate.report import Report
from detzoo.evaluate.run import evaluate
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.zoo import find
from detzoo.train.loop import Trained, train

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
    out = Path(out)
    recipe = find(recipe) if isinstance(recipe, str) else recipe
    if recipe.data.kind != "shapes":
        raise ConfigError(f"{recipe.name} learns from {recipe.data.kind} data; the demo needs shapes")
    _clear(out, recipe)
    trained = train(recipe, out=out / "run", device=device)
    trained_in = time.perf_counter() - start
    report = evaluate(trained.detector, recipe.data)
    print(report.summary())
    drawn = _predict(trained.detector, out)
    weights = trained.best or trained.last
    record = {
        "recipe": recipe.name,
        "metrics": report.metrics,
        "per_class": report.per_class,
        "training_seconds": round(trained_in, 1),
        "seconds": round(time.perf_counter() - start, 1),
    }
    text = json.dumps(record, indent=2) + "\n"
    write_atomically(out / "metrics.json", lambda path: path.write_text(text, encoding="utf-8"))
    page = _page(out, recipe, trained, report, drawn, weights, trained_in)
    return Demo(out, page, weights, report.metrics, time.perf_counter() - start)


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


def _page(
    out: Path, recipe: Recipe, trained: Trained, report: Report, drawn: list[Path], weights: Path, trained_in: float
) -> Path:
    """Write the summary with all pictures inside it."""
    folders = PackageLoader("detzoo", "templates")
    template = Environment(loader=folders, autoescape=True, undefined=StrictUndefined).get_template("demo.html")
    parameters = sum(parameter.numel() for parameter in trained.detector.parameters())
    text = template.render(
        version=detzoo.__version__,
        torch=torch.__version__,
        machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        device=str(trained.detector.device),
        recipe=recipe,
        images=sum(split.count for split in recipe.data.train),
        parameters=f"{parameters / 1e6:.1f}",
        minutes=f"{trained_in / 60:.1f}",
        ended=trained.ended,
        report=report,
        columns=[name for name in (report.per_class[0] if report.per_class else {}) if name != "name"],
        enough=ENOUGH,
        shown=SHOWN,
        curves=_inlined(trained.curves) if trained.curves.is_file() else None,
        drawn=[(path.name, _inlined(path)) for path in drawn],
        weights=weights,
        pictures=out / "pictures",
    )
    return write_atomically(out / "index.html", lambda path: path.write_text(text, encoding="utf-8"))


def _inlined(path: Path) -> str:
    """An image file as an address that holds it; at most 1400 pixels wide."""
    with Image.open(path, formats=["PNG", "JPEG"]) as image:
        image.thumbnail((1400, 1400))
        file = io.BytesIO()
        image.convert("RGB").save(file, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
