"""Annotations of a large data set are small, and worker processes share them."""

import json
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detzoo.data import share
from detzoo.data.annotations import Annotations
from detzoo.data.coco import read_coco
from detzoo.data.masks import decode
from detzoo.data.read import read_split
from detzoo.data.source import shapes_data

IMAGES, OBJECTS = 118_287, 860_001  # of COCO's train2017.json
POINTS = 23  # vertices of an object there, on average
PART = 50


def objects(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Outlines with the spacing of COCO's: 30 to 300 pixels large."""
    for number in range(OBJECTS // PART):
        count = 4 + int(rng.poisson(POINTS - 4))
        angle = np.sort(rng.random(count)) * 2 * np.pi
        radius = rng.uniform(15, 150) * rng.uniform(0.8, 1.2, count)
        points = np.stack([320 + radius * np.cos(angle), 240 + radius * np.sin(angle)], axis=1).round(2)
        low, high = points.min(axis=0), points.max(axis=0)
        yield {
            "id": number,
            "image_id": int(rng.integers(IMAGES // PART)),
            "category_id": 1,
            "bbox": [*low.tolist(), *(high - low).tolist()],
            "segmentation": [points.reshape(-1).tolist()],
        }


def test_a_training_file_of_coco_costs_at_most_200_megabytes(tmp_path: Path) -> None:
    """A fiftieth of it, whose arrays grow in proportion."""
    names = [f"{number:012d}.jpg" for number in range(IMAGES // PART)]
    for name in names:
        (tmp_path / name).touch()
    content = {
        "images": [{"id": n, "file_name": name, "height": 480, "width": 640} for n, name in enumerate(names)],
        "annotations": list(objects(np.random.default_rng(0))),
        "categories": [{"id": 1, "name": "thing"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    found = read_coco(tmp_path / "train.json", tmp_path, masks=True)
    assert len(found.boxes) == OBJECTS // PART
    assert found.mask_kind.all()
    assert found.memory() * PART < 150e6
    assert len(pickle.dumps(found)) == pytest.approx(found.memory(), rel=0.01)  # and nothing is held beside the arrays


def look(annotations: Annotations, answers: Any) -> None:
    """Run in a fresh process: what it sees, and whether the arrays are its own."""
    bitmap = decode(annotations, 3, *annotations.sizes[0].tolist()).sum() if len(annotations.boxes) > 3 else 0
    answers.put((annotations.boxes.sum(), annotations.files[1], int(bitmap), annotations.boxes.flags.owndata))
    answers.put(annotations.boxes.flags.writeable)


def test_a_fresh_process_maps_the_arrays() -> None:
    found = read_split(shapes_data(2, 1), "train")
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=look, args=(found, answers))
    process.start()
    total, name, _, owned = answers.get(timeout=120)
    writeable = answers.get(timeout=120)
    process.join(timeout=120)
    assert process.exitcode == 0
    assert (total, name) == (found.boxes.sum(), "shapes/train/1")
    assert not owned
    assert not writeable


def test_published_arrays_are_written_once_and_removed_with_their_owner(tmp_path: Path) -> None:
    class Owner:
        pass

    owner, values = Owner(), {"a": np.arange(5), "b": np.zeros(0), "c": np.ones((3, 2), np.uint8)}
    path, payload, lengths = share.publish(owner, values)
    assert share.publish(owner, values)[0] == path
    assert Path(path).stat().st_size % 64 == 0
    back = share.attach(path, payload, lengths)
    for name, value in values.items():
        assert np.array_equal(back[name], value)
        assert back[name].dtype == value.dtype
    del owner
    assert not Path(path).exists()
    assert back["a"].tolist() == [0, 1, 2, 3, 4]


def test_plain_pickles_stand_alone() -> None:
    found = read_split(shapes_data(2, 1), "train")
    back = pickle.loads(pickle.dumps(found))
    assert np.array_equal(back.boxes, found.boxes)
    assert back.files[1] == found.files[1]
    assert back.classes == found.classes
