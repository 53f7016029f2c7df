"""One set of images divided into training and validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import detzoo
from detzoo import cli
from detzoo.config import ConfigError
from detzoo.data import masks
from detzoo.data.dataset import open_dataset
from detzoo.data.problems import DataError
from detzoo.data.read import read_split
from detzoo.data.source import as_data
from detzoo.recipes.settings import Data, Split
from tests.data_files import thing, write_coco
from tests.train_fakes import quick

__all__ = ["quick"]

SMALL = [
    *("model.input.short=48", "model.input.long=64", "model.neck.out_channels=16"),
    *("schedule.epochs=1", "schedule.milestones=[]", "schedule.batch=1", "data.workers=0"),
]


def ten(root: Path, order: int = 1, file: str = "labels.json") -> Path:
    """A COCO file of ten images; image ``n`` has ``n % 3`` objects."""
    objects = [
        thing(10 * image + number, image, [1, 1, 5 + image, 5], segmentation=[[1, 1, 6, 1, 6, 5 + number]])
        for image in range(1, 11)
        for number in range(image % 3)
    ]
    write_coco(root, objects, images=tuple(range(1, 11))[::order], file=file)
    return root


def files(data: Data, half: str) -> list[str]:
    found = read_split(data, half)  # type: ignore[arg-type]
    return [found.files[image] for image in range(len(found))]


@pytest.mark.parametrize(("fraction", "count"), [(0.2, 2), (0.5, 5), (0.01, 1), (0.99, 9)])
def test_halves_share_nothing_and_lack_nothing(tmp_path: Path, fraction: float, count: int) -> None:
    whole = as_data(ten(tmp_path))
    data = whole.replace(val_fraction=fraction)
    train, val = files(data, "train"), files(data, "val")
    assert len(val) == count
    assert sorted(train + val) == sorted(files(whole, "train"))


def test_the_same_images_every_time_and_everywhere(tmp_path: Path) -> None:
    first, second = (
        files(as_data(ten(tmp_path / name, order)).replace(val_fraction=0.3), "val")
        for name, order in (("a", 1), ("b", -1))
    )
    assert sorted(first) == sorted(second)
    write_coco(tmp_path / "a", [], images=range(1, 14), file="labels.json")
    grown = files(as_data(tmp_path / "a").replace(val_fraction=0.3), "val")
    assert len(set(first) & set(grown)) >= 2


def test_images_outside_of_the_root_are_divided_the_same_on_every_machine(tmp_path: Path) -> None:
    chosen = []
    for machine in ("a", "somewhere/else"):
        ten(tmp_path / machine / "data")
        images = tmp_path / machine / "pictures/2020"
        images.parent.mkdir()
        (tmp_path / machine / "data/images").rename(images)
        part = Split(annotations="labels.json", images=str(images))
        data = Data(root=str(tmp_path / machine / "data"), train=(part,), val_fraction=0.3)
        val = files(data, "val")
        assert all(Path(file).is_absolute() for file in val)
        chosen.append(sorted(Path(file).name for file in val))
    assert chosen[0] == chosen[1]


def test_objects_stay_with_their_images(tmp_path: Path) -> None:
    whole = as_data(ten(tmp_path)).replace(masks=True)
    before = read_split(whole, "train")
    objects = {int(number): row for row, number in enumerate(before.ids)}
    for half in ("train", "val"):
        after = read_split(whole.replace(val_fraction=0.4), half)
        assert len(after.starts) == len(after) + 1
        for image in range(len(after)):
            rows = range(len(after.boxes))[after.rows(image)]
            assert len(rows) == after.image_id(image) % 3  # type: ignore[operator]
            for row in rows:
                same = objects[int(after.ids[row])]
                assert int(after.ids[row]) // 10 == after.image_id(image)
                assert (after.boxes[row] == before.boxes[same]).all()
                assert (masks.decode(after, row, 20, 30) == masks.decode(before, same, 20, 30)).all()
        assert np.array_equal(after.image_of(), np.repeat(np.arange(len(after)), np.diff(after.starts)))


def test_ids_that_are_names_and_several_parts(tmp_path: Path) -> None:
    parts = []
    for folder in ("a", "b"):
        write_coco(tmp_path / folder, [], images=[f"{folder}{number}" for number in range(4)])
        parts.append(Split(annotations=f"{folder}/train.json", images=f"{folder}/images"))
    data = Data(root=str(tmp_path), train=tuple(parts), val_fraction=0.5)
    train, val = read_split(data, "train"), read_split(data, "val")
    ids = [half.image_id(image) for half in (train, val) for image in range(len(half))]
    assert sorted(map(str, ids)) == [f"{folder}{number}" for folder in "ab" for number in range(4)]


def test_generated_images_are_divided_too() -> None:
    data = Data(kind="shapes", train=(Split(count=10),), val_fraction=0.2)
    assert len(set(files(data, "train")) | set(files(data, "val"))) == 10


def test_what_cannot_be_divided(tmp_path: Path) -> None:
    ten(tmp_path)
    ten(tmp_path / "b")
    own = {"root": str(tmp_path), "train": [{"annotations": "labels.json"}], "val": [{"annotations": "b/labels.json"}]}
    with pytest.raises(ConfigError, match=r"there are others for it already: leave it out, or set data\.val=\[\]"):
        as_data({**own, "val_fraction": 0.2})
    for fraction in (1.0, 20, -0.1):
        with pytest.raises(ConfigError, match="val_fraction"):
            as_data({"val_fraction": fraction})
    write_coco(tmp_path / "one", [], images=(1,))
    with pytest.raises(DataError, match="a single image cannot be divided"):
        read_split(as_data(tmp_path / "one").replace(val_fraction=0.5), "train")


def test_a_lone_file_trains_when_it_is_divided(tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    path = ten(tmp_path) / "labels.json"
    with pytest.raises(
        ConfigError, match=r"nothing to train on; val=0\.2 \(--val 0\.2\) divides the images of data\.val"
    ):
        detzoo.train("retinanet_r18_fpn_shapes", data=path, out=tmp_path / "run", device="cpu", overrides=SMALL)
    done = detzoo.train(
        "retinanet_r18_fpn_shapes",
        data=path,
        out=tmp_path / "run",
        val=0.3,
        device="cpu",
        overrides=SMALL,
        progress=False,
    )
    assert "box_ap" in done.history[0]["metrics"]
    assert "no validation images" not in (shown := capsys.readouterr().out)
    assert "WARNING: validation images" not in shown
    recipe = done.detector.recipe
    assert recipe is not None
    held = open_dataset(recipe.data, "val", recipe.model.input, False)  # type: ignore[attr-defined]
    assert len(held) == 3
    assert detzoo.evaluate(done.detector, recipe.data, workers=0, progress=False).metrics  # type: ignore[attr-defined]


def test_the_command_line_divides_a_folder(tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    ten(tmp_path / "data")
    base = ["train", "retinanet_r18_fpn_shapes", "--data", str(tmp_path / "data"), "--device", "cpu", *SMALL]
    assert cli.main([*base, "--val", "0.2", "--out", str(tmp_path / "a")]) == 0
    capsys.readouterr()
    assert cli.main([*base, "--out", str(tmp_path / "b"), "schedule.evaluate_every=1"]) == 0
    assert "validation images are the training images" in capsys.readouterr().out
    assert cli.main([*base, "--val", "2", "--out", str(tmp_path / "c")]) == 2
    assert "data.val_fraction" in capsys.readouterr().err


def test_a_folder_with_one_half_says_how_to_have_two(
    tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    ten(tmp_path / "data", file="train.json")
    done = detzoo.train(
        "retinanet_r18_fpn_shapes",
        data=tmp_path / "data",
        out=tmp_path / "run",
        device="cpu",
        overrides=[*SMALL, "schedule.evaluate_every=1"],
        progress=False,
    )
    assert "no epoch is known to be best; val=0.2 keeps a fifth" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"nothing to evaluate on; split='train' \(--split train\)"):
        detzoo.evaluate(done.detector, tmp_path / "data", progress=False)
