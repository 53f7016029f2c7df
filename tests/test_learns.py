"""Each method trains: from random weights, on generated shapes, through the loader and the loop that a user has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from detzoo.recipes.augment import Mixup, Resize
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.settings import Data, Schedule, Split
from detzoo.train.checkpoint import read_state
from detzoo.train.log import read_log
from detzoo.train.loop import Trained, train
from tests.tiny import detect, every_form, images, swept_form, tiny
from tests.train_fakes import quick

# two pictures to know by heart: whether targets and gradients fit together shows in seconds
TWO = Data(kind="shapes", train=(Split(count=2),), masks=True, flip=0.0, workers=0)
STEPS = 30
SCHEDULE = Schedule(
    epochs=1, batch=2, optimizer="adamw", lr=3e-4, base_batch=2, decay="constant", warmup_steps=0, evaluate_every=0
)
# the rate at which a method halves its loss in so few steps, where that is not the one above
RATES = {
    "DETR": 1e-3,
    "FasterRCNN-cascade-rpn": 1e-3,
    "FasterRCNN-regnet": 1e-3,
    "FasterRCNN-standardized": 1e-3,
    "GridRCNN": 1e-3,
    "PointRend": 1e-3,
    "YOLOF": 1e-3,
    "YOLOv3-by-shape": 1e-3,
}
# what is trained as the published rows are: group normalization has more groups than some forms have channels
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "FasterRCNN-regnet": {"backbone": {"norm": "bn"}},
    "MaskRCNN-resnest": {"backbone": {"norm": "bn", "norm_eval": False}},
    "RetinaNet-nas-fpn": {"neck": {"norm": "bn"}},
}
# pictures that are mixed, of which this form learns smooth labels and IoUs
MIXED: dict[str, dict[str, Any]] = {"YOLOv3-by-shape": {"augment": (Mixup(), Resize()), "masks": False}}

__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")


def run(form: str, out: Path, steps: int, resume: bool = False, stop: int = 0, **data: Any) -> Trained:
    """Train a small detector for some steps; ``stop``: interrupt it after this many."""
    changes: dict[str, dict[str, Any]] = {
        "backbone": {"norm": "gn", "frozen_stages": -1},
        "input": {"resize": True, "short": 96, "long": 128, "multiple": 32, "less": 0},
    }
    for part, values in OWN.get(form, {}).items():
        changes[part] = changes.get(part, {}) | values
    small = tiny(form, **changes)
    recipe = Recipe(
        name="learns",
        model=small.config,  # pyright: ignore[reportArgumentType] # it is one of the union
        data=TWO.replace(repeat=steps, **MIXED.get(form, {}), **data),
        schedule=SCHEDULE.replace(lr=RATES.get(form, SCHEDULE.lr)),
    )

    def interrupt(record: Mapping[str, Any]) -> None:
        if record["event"] == "train" and record["update"] == stop:
            raise KeyboardInterrupt

    return train(recipe, out=out, device="cpu", resume=resume, callbacks=[interrupt], progress=False)


def totals(done: Trained) -> list[float]:
    """The total loss of every step."""
    return [record["losses"]["loss"] for record in read_log(done.log) if record["event"] == "train"]


@swept_form
def test_the_loss_halves_and_the_file_holds_what_was_learned(form: str, tmp_path: Path) -> None:
    done = run(form, tmp_path, STEPS)
    history = totals(done)
    assert len(history) == STEPS
    assert sum(history[-3:]) / 3 < history[0] / 2, [round(value, 2) for value in history]
    loaded = detzoo.load(done.last).eval()
    assert loaded.config == done.detector.config
    with torch.no_grad():
        before, after = (detect(detector, images()) for detector in (done.detector, loaded))
    for name in ("boxes", "scores", "labels", "valid"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name


@every_form
def test_nothing_to_find_is_no_trouble(form: str, tmp_path: Path) -> None:
    done = run(form, tmp_path, 3, min_box=1000.0, keep_empty=True)
    assert len(totals(done)) == 3
    assert all(bool(value.isfinite().all()) for value in done.detector.state_dict().values())


@swept_form
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(form: str, tmp_path: Path) -> None:
    whole = run(form, tmp_path / "whole", 4)
    with pytest.raises(KeyboardInterrupt):
        run(form, tmp_path / "halves", 4, stop=2)
    halves = run(form, tmp_path / "halves", 4, resume=True)
    assert totals(whole) == totals(halves)
    one, two = (dict(leaves("", read_state(done.out / "last.state"))) for done in (whole, halves))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]) if isinstance(value, torch.Tensor) else value == two[name], name


def leaves(prefix: str, value: Any) -> Any:
    """Every value inside nested mappings, with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(f"{prefix}/{key}", inner)
    else:
        yield prefix, value
