import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.images import ImageError
from detzoo.data.problems import DataError
from detzoo.data.source import as_data, shapes_data
from detzoo.data.table import class_table
from detzoo.detector import Input
from detzoo.types import Targets
from tests.data_files import thing, write_coco, write_voc

FILE_SIZE = Input(short=20, long=30)  # of the pictures on disk: no resizing
SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


def coco(
    root: Path, objects: list[dict[str, Any]], augment: bool = True, input: Input = FILE_SIZE, **settings: Any
) -> Dataset:
    write_coco(root, objects, images=(1, 2, 3), categories={1: "cat", 2: "dog"})
    return open_dataset(as_data(root).replace(**settings), "train", input, augment)


def test_a_sample_as_it_is_on_disk(tmp_path: Path) -> None:
    data = coco(tmp_path, [thing(1, 2, [2, 3, 10, 4], 2)], augment=False)
    assert (len(data), data.classes) == (3, ("cat", "dog"))
    sample = data[1]
    assert np.array_equal(sample.pixels.permute(1, 2, 0).numpy(), np.array(Image.open(tmp_path / "images/2.png")))
    assert (sample.id, sample.path, sample.original_size) == (2, str(tmp_path / "images/2.png"), (20, 30))
    assert sample.target["boxes"].tolist() == [[2, 3, 12, 7]]
    assert sample.target["labels"].tolist() == [1]
    assert sample.target["ignore"].tolist() == [False]
    assert "masks" not in sample.target
    assert data[0].target["boxes"].shape == (0, 4)
    with pytest.raises(IndexError):
        data[3]


def test_boxes_and_masks_follow_the_picture(tmp_path: Path) -> None:
    objects = [thing(1, 1, [2, 2, 6, 6], segmentation=SQUARE), thing(2, 1, [20, 10, 10, 10], segmentation=SQUARE)]
    plain = coco(tmp_path, objects, masks=True, flip=0.0, input=Input(short=40, long=60))[0]
    assert plain.pixels.shape == (3, 40, 60)
    assert plain.target["boxes"].tolist() == [[4, 4, 16, 16], [40, 20, 60, 40]]
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[4:16, 4:16] = True
    assert torch.equal(plain.target["masks"].dense()[0], mask)
    flipped = coco(tmp_path, objects, masks=True, flip=1.0, input=Input(short=40, long=60))[0]
    assert torch.equal(flipped.pixels, plain.pixels.flip(2))
    assert torch.equal(flipped.target["masks"].dense(), plain.target["masks"].dense().flip(2))
    assert flipped.target["boxes"].tolist() == [[44, 4, 56, 16], [0, 20, 20, 40]]
    Targets.pack([plain.target, flipped.target])


def test_a_fixed_size_stretches_both_ways(tmp_path: Path) -> None:
    sample = coco(tmp_path, [thing(1, 1, [3, 5, 6, 5])], flip=0.0, input=Input(short=40, long=90, keep_ratio=False))[0]
    assert sample.pixels.shape == (3, 40, 90)
    assert sample.target["boxes"].tolist() == [[9, 10, 27, 20]]


def test_sizes_are_chosen_or_drawn(tmp_path: Path) -> None:
    objects = [thing(1, 1, [3, 5, 6, 5])]
    settings: dict[str, Any] = {"sizes": ((10, 300), (16, 300), (12, 300))}

    def heights(**more: Any) -> set[int]:
        data = coco(tmp_path, objects, **settings, **more)
        return {data.sample(0, np.random.default_rng(seed)).pixels.shape[1] for seed in range(80)}

    assert heights() == {10, 12, 16}
    assert heights(size_mode="range") == {10, 11, 12}  # between the first and the last
    plain = coco(tmp_path, objects, augment=False, **settings)
    assert plain[0].pixels.shape == (3, 20, 30)


def test_flips_come_as_often_as_said(tmp_path: Path) -> None:
    data = coco(tmp_path, [thing(1, 1, [0, 0, 6, 5])], flip=0.25)
    left = [data.sample(0, np.random.default_rng(seed)).target["boxes"][0, 0] == 0 for seed in range(200)]
    assert 0.15 < 1 - sum(left) / 200 < 0.35


def test_training_leaves_out_what_cannot_be_learned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    objects = [
        thing(1, 1, [2, 3, 10, 4]),
        thing(2, 1, [2, 3, 0.5, 4]),
        thing(3, 1, [2, 3, 9, 4], 2, iscrowd=1),
        thing(4, 2, [2, 3, 9, 4], ignore=1),
        thing(5, 3, [2, 3, 9, 0.9]),
    ]
    data = coco(tmp_path, objects, flip=0.0)
    assert data.indices.tolist() == [0]
    assert data[0].target["boxes"].tolist() == [[2, 3, 12, 7], [2, 3, 11, 7]]
    assert data[0].target["ignore"].tolist() == [False, True]
    assert "2 of 3 images have no object to learn" in caplog.text
    assert class_table(data) == [("cat", 1, 1, 0), ("dog", 0, 0, 1)]
    everything = coco(tmp_path, objects, keep_empty=True, min_box=0.0)
    assert len(everything) == 3
    assert class_table(everything) == [("cat", 2, 3, 1), ("dog", 0, 0, 1)]
    assert len(coco(tmp_path, objects, augment=False)) == 3


def test_nothing_to_learn_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"of 2 objects 1 are ignored and 1 are narrower.*keep_empty"):
        coco(tmp_path, [thing(1, 1, [2, 3, 0.5, 4]), thing(2, 1, [2, 3, 9, 4], iscrowd=1)])


def test_objects_without_a_mask_are_ignored_where_masks_are_learned(tmp_path: Path) -> None:
    objects = [thing(1, 1, [2, 2, 6, 6], segmentation=SQUARE), thing(2, 1, [20, 10, 10, 10])]
    assert coco(tmp_path, objects, masks=True)[0].target["ignore"].tolist() == [False, True]
    assert coco(tmp_path, objects, masks=False)[0].target["ignore"].tolist() == [False, False]


def test_difficult_objects_are_ignored(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a": [("cat!", (1, 1, 9, 9)), ("cat", (3, 3, 9, 9))]})
    data = open_dataset(as_data(tmp_path), "train", FILE_SIZE, True)
    assert data[0].target["ignore"].tolist() == [True, False]
    assert data[0].id == "a"


def test_aspect_of_the_used_images() -> None:
    data = open_dataset(shapes_data(8, 1), "train", Input(), True)
    sizes = data.annotations.sizes
    assert data.aspect.tolist() == pytest.approx((sizes[:, 1] / sizes[:, 0]).tolist())


def test_broken_pictures_are_named(tmp_path: Path) -> None:
    data = coco(tmp_path, [thing(1, 1, [2, 3, 10, 4])])
    (tmp_path / "images/1.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"1\.png is empty"):
        data[0]
    (tmp_path / "images/1.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.png"):
        data[0]


def test_a_picture_of_another_size_than_annotated(tmp_path: Path) -> None:
    data = coco(tmp_path, [thing(1, 1, [2, 3, 10, 4])])
    Image.new("RGB", (50, 20)).save(tmp_path / "images/1.png")
    with pytest.raises(ImageError, match="20 x 50"):
        data[0]
