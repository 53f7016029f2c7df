"""What is found in a picture does not depend on which others are looked at with it, nor on who asks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from benchmarks.canvas import counts
from detzoo.data import shapes
from detzoo.data.source import shapes_data
from detzoo.detector import Detector
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.recipes.recipe import METHODS
from detzoo.types import Images
from tests.tiny import METHOD_IDS, detect, every_form, images, proposals, tiny
from tests.train_fakes import quick

__all__ = ["quick"]
COUNT = 5

# In double precision what differs is no rounding; scores of random networks are so near that float32 mixes them up.


@every_form
def test_an_image_does_not_depend_on_its_batch(form: str):
    detector = tiny(form, box_head={"threshold": 0.0}, head={"threshold": 0.0}).double().eval()
    batch = images(3)
    batch = replace(batch, pixels=batch.pixels.double())
    with torch.no_grad():
        together = detect(detector, batch)
        for index, pixels in enumerate(batch.pixels.split(1)):
            alone = detect(detector, Images(pixels, batch.sizes[index : index + 1]))[0]
            assert len(alone.scores) > 0
            assert torch.equal(together[index].labels, alone.labels)
            for name in ("boxes", "scores", "crops"):
                torch.testing.assert_close(getattr(together[index], name), getattr(alone, name), atol=1e-6, rtol=1e-9)


def test_proposals_of_one_image_are_no_matter_of_another():
    detector = tiny(FastRCNN, box_head={"threshold": 0.0}).double().eval()
    assert isinstance(detector, FastRCNN)
    batch = images(2)
    batch, given = replace(batch, pixels=batch.pixels.double()), [proposals(0)[:3].double(), proposals(1).double()]
    with torch.no_grad():
        together = detector.detect(batch, proposals=given)[0]
        alone = detector.detect(Images(batch.pixels[:1], batch.sizes[:1]), proposals=given[:1])[0]
    assert len(alone.scores) > 0
    assert torch.equal(together.labels, alone.labels)
    torch.testing.assert_close(together.scores, alone.scores, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(together.boxes, alone.boxes, atol=1e-6, rtol=1e-9)


def one_of(method: type[Detector]) -> Detector:
    """It pads the generated pictures, whose sizes all differ, to several canvases."""
    detector = tiny(method, box_head={"threshold": 0.0}, head={"threshold": 0.0}).double().eval()
    small = detector.config.input.replace(resize=True, short=64, long=96, multiple=32, less=0)
    detector.config = detector.config.replace(input=small)
    return detector


def evaluated(detector: Detector, out: Path, batch: int) -> list[list[dict[str, Any]]]:
    """Every detection of each picture, whatever its class."""
    data = shapes_data(1, COUNT)
    detzoo.evaluate(detector, data, batch=batch, metric="proposals", results=out, workers=0, progress=False)
    found: list[list[dict[str, Any]]] = [[] for _ in range(COUNT)]
    for entry in json.loads(out.read_text()):
        found[entry["image_id"]].append(entry)
    return found


def boxes_and_scores(found: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    boxes = torch.tensor([entry["bbox"] for entry in found], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes, torch.tensor([entry["score"] for entry in found])


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_neither_batches_nor_the_way_of_asking_change_a_detection(method: type[Detector], tmp_path: Path):
    detector = one_of(method)
    alone, together = (evaluated(detector, tmp_path / "results.json", batch) for batch in (1, 8))
    found = [[boxes_and_scores(image) for image in images] for images in (alone, together)]
    if not detector.takes_proposals:
        pictures = [shapes.picture(f"shapes/val/{number}") for number in range(COUNT)]
        predicted = detector.predict(pictures, threshold=0.0, batch=8)
        found.append([(one.boxes, one.scores) for one in predicted])
    for first, *others in zip(*found, strict=True):
        assert len(first[1]) > 0
        for other in others:
            torch.testing.assert_close(other[0].double(), first[0], atol=1e-4, rtol=0)
            torch.testing.assert_close(other[1].float(), first[1], atol=1e-6, rtol=0)


def test_batches_of_one_canvas_cost_few_calls_and_save_pixels():
    """On COCO's sizes; what is written in results/canvas.csv."""
    row = counts("800 x 1333", 4)
    assert row["calls_in_order"] == 1250
    assert row["calls_evaluate"] <= row["calls_predict"] <= 1280
    assert float(row["pixels_ratio"]) < 0.8


@pytest.mark.parametrize("how", [("schedule.ema=0.9",), ("schedule.precision=bf16",)], ids=["average", "bf16"])
def test_training_logs_what_its_files_are_measured_with(how: tuple[str, ...], tmp_path: Path, quick: None):
    small = ["model.input.short=64", "model.input.long=96", "model.neck.out_channels=32", "model.head.threshold=0"]
    brief = ["schedule.batch=3", "schedule.epochs=2", "schedule.evaluate_every=1", "schedule.warmup_steps=2"]
    data, overrides = shapes_data(12, 9), [*small, *brief, *how, "data.workers=0"]
    done = detzoo.train(
        "retinanet_r18_fpn_shapes", data, tmp_path / "run", device="cpu", overrides=overrides, progress=False
    )
    assert done.best is not None
    best = max(done.history, key=lambda epoch: epoch["metrics"]["box_ap"])
    assert best["metrics"]["box_ap"] > 0
    for file, logged in ((done.best, best), (done.last, done.history[-1])):
        report = detzoo.evaluate(detzoo.load(file), data, batch=3, workers=0, progress=False)
        assert report.metrics == logged["metrics"]
    # float32 may exchange what scores alike: with other batches it is the same number where that cannot be
    exact = detzoo.load(done.best).double()
    alone, together = (detzoo.evaluate(exact, data, batch=size, workers=0, progress=False) for size in (1, 8))
    assert alone.metrics == together.metrics
    assert alone.metrics["box_ap"] == pytest.approx(best["metrics"]["box_ap"], abs=1e-3)
