"""Fast R-CNN and where its proposals come from: files, made-up boxes, evaluation of a proposal network."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import detzoo
from detzoo.config import ConfigError, override
from detzoo.data.dataset import open_dataset
from detzoo.data.loader import make_loader
from detzoo.data.problems import DataError
from detzoo.data.proposals import write_proposals
from detzoo.data.source import shapes_data
from detzoo.detector import Input
from detzoo.methods.fast_rcnn import FastRCNN
from detzoo.ops.boxes import pairwise_iou
from detzoo.recipes.settings import Data, Split
from detzoo.types import Targets
from tests.oracle import scene, write_coco
from tests.tiny import CANVAS, images, proposals, targets, tiny

TINY = [
    "model.input.short=64",
    "model.input.long=96",
    "model.neck.out_channels=16",
    "data.workers=0",
    "schedule.epochs=1",
]
SIZES = [(60, 80), (64, 64), (80, 60)]


def no_area_between(boxes: torch.Tensor) -> torch.Tensor:
    """The same boxes ``[N, P, 4]`` with an unused slot after each."""
    return torch.stack([boxes, torch.zeros_like(boxes)], 2).flatten(1, 2)


def test_proposals_may_be_a_list_and_slots_without_area_are_unused():
    detector = tiny(FastRCNN, box_head={"threshold": 0.0, "detections": 10}).eval()
    given = [proposals(0), proposals(1)]
    assert isinstance(detector, FastRCNN)
    with torch.no_grad():
        listed = detector.detect(images(), proposals=given)
        packed = detector.detect(images(), proposals=torch.stack(given))
        spread = detector.detect(images(), proposals=no_area_between(torch.stack(given)))
    for other in (packed, spread):
        torch.testing.assert_close(listed.boxes, other.boxes, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(listed.scores, other.scores)


def test_an_image_without_proposals_has_no_detections():
    detector = tiny(FastRCNN, box_head={"threshold": 0.0, "detections": 10}).eval()
    assert isinstance(detector, FastRCNN)
    with torch.no_grad():
        found = detector.detect(images(), proposals=[proposals(0), torch.zeros(0, 4)])
    assert found.valid.any(1).tolist() == [True, False]


def test_proposals_larger_than_the_picture():
    detector = tiny(FastRCNN, box_head={"threshold": 0.0, "detections": 10}).eval()
    assert isinstance(detector, FastRCNN)
    with torch.no_grad():
        found = detector.detect(images(1), proposals=torch.tensor([[[-50.0, -50, 400, 400]]]))
    assert found.valid.any()
    assert bool((found.boxes <= torch.tensor([CANVAS[1], CANVAS[0]] * 2)).all())
    assert bool(found.scores.isfinite().all())


def test_without_proposals_the_errors_say_what_to_do(tmp_path: Path):
    detector = tiny(FastRCNN)
    batch = targets(1, 1)
    with pytest.raises(ValueError, match=r"pass proposals to Targets\.pack"):
        detector(images(), Targets(batch.boxes, batch.labels, batch.valid, batch.ignore))
    with pytest.raises(ValueError, match=r"detect\(images, proposals"):
        detector.detect(images())
    with pytest.raises(ValueError, match="looks at given boxes only"):
        detector.predict([np.zeros((40, 50, 3), np.uint8)])
    folder = write_coco(tmp_path, scene(0, SIZES, {1: "a"}))
    with pytest.raises(ConfigError, match=r"data\.val names no file of them"):
        detzoo.evaluate(detector, folder, progress=False)


def coco(tmp_path: Path, found: dict[int | str, Any] | None = None) -> tuple[Data, dict[str, Any]]:
    contents = scene(0, SIZES, {1: "a", 2: "b"})
    folder = write_coco(tmp_path, contents)
    if found is None:
        found = {image["id"]: np.full((3, 5), 8 + image["id"] % 7, np.float32) for image in contents["images"]}
    write_proposals(folder / "boxes.safetensors", found)
    part = Split(annotations="val.json", images="images", proposals="boxes.safetensors")
    return Data(root=str(folder), train=(part,), val=(part,)), contents


def test_boxes_of_a_file_move_with_the_picture(tmp_path: Path):
    box = np.array([[10, 20, 30, 50, 0.5]], np.float32)
    data, _ = coco(tmp_path, {100 - 7 * index: box for index in range(3)})
    square = Input(short=120, long=160)
    plain = open_dataset(data, "val", square, False, proposals=True)
    assert plain[0].pixels.shape == (3, 120, 160)
    torch.testing.assert_close(plain[0].target["proposals"], torch.tensor([[20.0, 40, 60, 100]]))
    flipped = open_dataset(data.replace(flip=1.0), "train", square, True, proposals=True)
    torch.testing.assert_close(flipped[0].target["proposals"], torch.tensor([[100.0, 40, 140, 100]]))
    assert "proposals" not in open_dataset(data, "val", square, False)[0].target
    assert pickle.loads(pickle.dumps(plain.proposals)).of(0).tolist() == [[10, 20, 30, 50]]


def test_worker_processes_deliver_proposals(tmp_path: Path):
    data, _ = coco(tmp_path)
    dataset = open_dataset(data, "val", Input(short=64, long=64), False, proposals=True)
    (batch,) = make_loader(dataset, 3, train=False, workers=1)
    assert batch.targets.proposals is not None
    assert batch.targets.proposals_valid is not None
    assert batch.targets.proposals_valid.sum(1).tolist() == [3, 3, 3]


def test_bad_proposal_files_are_named(tmp_path: Path):
    data, _ = coco(tmp_path)
    path = tmp_path / "boxes.safetensors"
    settings = Input(short=64, long=64)
    good = load_file(path)
    save_file({"93": good["93"]}, path)
    with pytest.raises(DataError, match=r"boxes\.safetensors: 2 of 3 images are missing, for example 100"):
        open_dataset(data, "val", settings, False, proposals=True)
    save_file({**good, "93": np.zeros((2, 4), np.float32)}, path)
    with pytest.raises(DataError, match=r"image 93 has \[2, 4\] numbers"):
        open_dataset(data, "val", settings, False, proposals=True)[1]
    path.write_text(json.dumps({}))
    with pytest.raises(DataError, match="damaged or not a safetensors file"):
        open_dataset(data, "val", settings, False, proposals=True)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no proposal file"):
        open_dataset(data, "val", settings, False, proposals=True)


def test_two_files_may_not_have_the_same_image(tmp_path: Path):
    data, _ = coco(tmp_path)
    write_proposals(tmp_path / "more.safetensors", load_file(tmp_path / "boxes.safetensors"))
    (part,) = data.train
    both = data.replace(train=(part, part.replace(proposals="more.safetensors")))
    with pytest.raises(DataError, match="both have image"):
        open_dataset(both, "train", Input(), True, proposals=True)


def test_generated_images_have_made_up_proposals():
    dataset = open_dataset(shapes_data(3, 2), "train", Input(short=64, long=96), False, proposals=True)
    first, again = dataset[1].target, dataset[1].target
    assert torch.equal(first["proposals"], again["proposals"])
    corner = torch.tensor(dataset[1].pixels.shape[:0:-1]).repeat(2)
    assert bool((first["proposals"] >= 0).all() and (first["proposals"] <= corner).all())
    overlap = pairwise_iou(first["boxes"], first["proposals"]).amax(1)
    assert bool((overlap > 0.4).all())


def test_from_a_proposal_network_to_fast_rcnn(tmp_path: Path):
    """Evaluating the first writes what the second is trained and measured on."""
    data, contents = coco(tmp_path)
    rpn = detzoo.build(override(detzoo.find("rpn_r18_fpn_shapes"), [*TINY[:3], "model.rpn.proposals=20"]), ["a", "b"])
    report = detzoo.evaluate(
        rpn, data, split="val", proposals=tmp_path / "boxes.safetensors", progress=False, workers=0
    )
    assert (report.metric, report.main) == ("proposals", "proposal_ar1000")
    written = load_file(tmp_path / "boxes.safetensors")
    assert set(written) == {str(image["id"]) for image in contents["images"]}
    assert all(some.shape[1] == 5 and len(some) <= 20 for some in written.values())
    assert all((some[:-1, 4] >= some[1:, 4]).all() for some in written.values())
    done = detzoo.train(
        override(detzoo.find("fast_rcnn_r18_fpn_shapes"), TINY), data, tmp_path / "run", device="cpu", progress=False
    )
    assert "box_ap" in done.history[-1]["metrics"]
    assert "loss_bbox" in done.history[-1]["val_losses"]
