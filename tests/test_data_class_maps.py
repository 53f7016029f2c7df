"""Class maps of things and stuff, from their files to the batch."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from detzoo.config import ConfigError
from detzoo.data.class_maps import FromFiles, padded, thinned
from detzoo.data.coco import read_coco
from detzoo.data.dataset import open_dataset
from detzoo.data.images import ImageError
from detzoo.data.layouts import data_in_folder
from detzoo.data.loader import make_loader
from detzoo.data.masks import nearest
from detzoo.data.problems import DataError
from detzoo.data.shapes import SHAPES, make_scene
from detzoo.detector import Input
from detzoo.recipes.augment import Crop, Expand, Flip, Resize
from detzoo.recipes.settings import Data, Split
from tests.data_files import thing, write_coco

SIZE = (50, 70)
INPUT = Input(short=100, long=140, multiple=32)


def write(path: Path, numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbers).save(path)
    return numbers


def folder(root: Path, **settings: Any) -> tuple[Data, list[NDArray[np.uint8]]]:
    """Two images with an object each, and their maps."""
    write_coco(root, [thing(1, 1, (5, 6, 20, 20)), thing(2, 2, (30, 10, 20, 20))], size=SIZE)
    rng = np.random.default_rng(0)
    maps = [write(root / "maps" / f"{n}.png", rng.integers(0, 182, SIZE, dtype=np.uint8)) for n in (1, 2)]
    part = Split(annotations="train.json", images="images", semantic="maps")
    return Data(root=str(root), train=(part,), val=(part,), workers=0, check_images=False, **settings), maps


def resized(numbers: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The whole map as OpenCV's INTER_NEAREST makes it."""
    return numbers[nearest(numbers.shape[0], height)][:, nearest(numbers.shape[1], width)]


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_map_is_resized_flipped_padded_and_then_thinned(tmp_path: Path, flip: float):
    data, maps = folder(tmp_path, flip=flip)
    dataset = open_dataset(data, "train", INPUT, True, class_maps=True)
    batch = next(iter(make_loader(dataset, 2, train=False, workers=0)))
    assert batch.targets.semantic is not None
    assert batch.targets.semantic.shape == (2, 16, 20)
    assert batch.pixels.shape[-2:] == (128, 160)
    for ours, numbers in zip(batch.targets.semantic, maps, strict=True):
        wanted = np.full((128, 160), 255)
        wanted[:100, :140] = resized(numbers, 100, 140)[:, :: -1 if flip else 1]
        assert ours.tolist() == wanted[::8, ::8].tolist()


def test_what_a_window_shows_beyond_the_picture_is_unknown():
    numbers = np.arange(24, dtype=np.uint8).reshape(4, 6)
    rows, columns = np.repeat([-1, 3, 0], 8), np.repeat([5, -1], 8)
    assert thinned(numbers, rows, columns).tolist() == [[255, 255], [23, 255], [5, 255]]
    assert padded(torch.tensor([[7]], dtype=torch.uint8), (9, 8)).tolist() == [[7], [255]]


def test_maps_go_along_with_every_step(tmp_path: Path):
    """A picture whose every pixel says which class it has, so that both have to agree after any steps."""
    data, maps = folder(tmp_path)
    for number, numbers in enumerate(maps, 1):
        write(tmp_path / "images" / f"{number}.png", np.repeat(numbers[..., None], 3, 2))
    steps = (Expand(probability=1.0, ratio=(1.2, 1.8)), Crop(size=(40, 48), allow_empty=True), Flip())
    dataset = open_dataset(
        data.replace(augment=steps, flip=1.0, keep_empty=True), "train", Input(resize=False), True, class_maps=True
    )
    seen = 0
    for seed in range(12):
        sample = dataset.sample(seed % 2, np.random.default_rng(seed))
        pixels, cells = sample.pixels[0, ::8, ::8], sample.target["semantic"]
        assert cells.shape == pixels.shape
        assert torch.equal(cells[cells != 255], pixels[cells != 255])
        assert bool((pixels[cells == 255] == round(INPUT.mean[0])).all())
        seen += int((cells != 255).sum())
    assert seen > 50


def test_generated_images_have_maps():
    data = Data(kind="shapes", train=(Split(count=2),), augment=(Resize(),))
    dataset = open_dataset(data, "train", Input(resize=False), True, class_maps=True)
    scene = make_scene("train", 1)
    cells = dataset[1].target["semantic"]
    label, mask = scene.labels[-1], scene.masks[-1]  # in front of all others
    assert bool((cells[torch.from_numpy(mask[::8, ::8])] == label + 1).all())
    assert set(cells.unique().tolist()) <= set(range(len(SHAPES) + 1))


def test_validation_without_maps_knows_nothing(tmp_path: Path):
    data, _ = folder(tmp_path)
    data = data.replace(val=(data.train[0].replace(semantic=""),))
    dataset = open_dataset(data, "val", INPUT, False, class_maps=True)
    assert dataset[0].target["semantic"].unique().tolist() == [255]
    assert "semantic" not in open_dataset(data, "val", INPUT, False)[0].target
    assert pickle.loads(pickle.dumps(dataset.class_maps)).of(0).shape == SIZE


def test_what_is_wrong_is_named(tmp_path: Path):
    data, _ = folder(tmp_path)
    with pytest.raises(
        ConfigError, match=r"data\.train names no folder of them in `semantic`.*stuffthingmaps/train2017"
    ):
        open_dataset(data.replace(train=(data.train[0].replace(semantic=""),)), "train", INPUT, True, class_maps=True)
    elsewhere = data.replace(train=(data.train[0].replace(semantic="elsewhere"),))
    with pytest.raises(FileNotFoundError, match=r"no folder of class maps .*elsewhere"):
        open_dataset(elsewhere, "train", INPUT, True, class_maps=True)
    dataset = open_dataset(data, "train", INPUT, True, class_maps=True)
    write(tmp_path / "maps" / "1.png", np.zeros((50, 60), np.uint8))
    with pytest.raises(ImageError, match=r"1\.png has 50 x 60 pixels .*images/1\.png 50 x 70"):
        dataset[0]
    write(tmp_path / "maps" / "1.png", np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(ImageError, match=r"1\.png is no map of one 8-bit number per pixel: its pixels are RGB"):
        dataset[0]
    (tmp_path / "maps" / "2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images have no class map, for example images/2\.png"):
        open_dataset(data, "train", INPUT, True, class_maps=True)


def test_a_palette_changes_no_number(tmp_path: Path):
    data, maps = folder(tmp_path)
    painted = Image.fromarray(maps[0])
    painted.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    painted.save(tmp_path / "maps" / "1.png")
    dataset = open_dataset(data, "val", Input(resize=False), False, class_maps=True)
    assert dataset[0].target["semantic"].tolist() == maps[0][::8, ::8].tolist()


def test_a_folder_of_coco_has_its_maps_beside(tmp_path: Path):
    write_coco(tmp_path, [thing(1, 1, (5, 6, 20, 20))], file="annotations/instances_train2017.json")
    (tmp_path / "images").rename(tmp_path / "train2017")
    (tmp_path / "stuffthingmaps" / "train2017").mkdir(parents=True)
    assert data_in_folder(tmp_path).train[0].semantic == "stuffthingmaps/train2017"


def test_maps_of_one_name_in_two_folders_are_refused(tmp_path: Path) -> None:
    write_coco(tmp_path, [thing(1, 1, [2, 2, 9, 9]), thing(2, 2, [2, 2, 9, 9])])
    for folder, names in (("m1", ("1", "2")), ("m2", ("2", "3"))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / folder / f"{name}.png")
    annotations = read_coco(tmp_path / "train.json", tmp_path, "images")
    folders = [tmp_path / "m1", tmp_path / "m2"]
    assert FromFiles(annotations, folders, np.array([0])).of(0).shape == (20, 30)
    with pytest.raises(
        DataError, match=r"more than one folder has a class map 2\.png, and which is of .*2\.png is not"
    ):
        FromFiles(annotations, folders, np.array([0, 1]))
