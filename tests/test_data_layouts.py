"""Folders as other tools lay them out: the table in docs/data.md, line by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detzoo.config import ConfigError
from detzoo.data.halves import half_of
from detzoo.data.problems import DataError
from detzoo.data.read import read_split
from detzoo.data.source import as_data
from tests.data_files import draw

BOX = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def coco(file: Path, name: str = "a.png", **more: object) -> None:
    """A COCO file of one image with one cat."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cat = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 5, 5], "area": 25}
    image = {"id": 1, "file_name": name, "height": 20, "width": 30}
    content = {"images": [image], "annotations": [cat], "categories": [{"id": 1, "name": "cat"}], **more}
    file.write_text(json.dumps(content))


def xml(folder: Path, name: str = "a") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.xml").write_text(f"<annotation><object><name>cat</name>{BOX}</object></annotation>")


def picture(folder: Path, name: str = "a") -> None:
    draw(folder / f"{name}.png")


def voc(root: Path, *lists: str, annotations: str = "Annotations", pictures: str = "JPEGImages") -> None:
    """A VOC folder; the lists have an image each."""
    (root / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
    for name in lists:
        image = f"{root.name}{name}" if root.name.startswith("VOC") else name
        xml(root / annotations, image)
        picture(root / pictures, image)
        (root / f"ImageSets/Main/{name}.txt").write_text(f"{image}\n")


Build = Callable[[Path], object]

# the layout, what it gives for training and for validation: the first image's file, or None
COCO: dict[str, tuple[Build, str | None, str | None]] = {
    "COCO 2017": (
        lambda r: [
            (coco(r / f"annotations/instances_{h}2017.json"), picture(r / f"{h}2017")) for h in ("train", "val")
        ],
        "train2017/a.png",
        "val2017/a.png",
    ),
    "COCO 2017 beside captions, pictures in images": (
        lambda r: [
            (
                coco(r / f"annotations/instances_{h}2017.json"),
                coco(r / f"annotations/captions_{h}2017.json"),
                picture(r / f"images/{h}2017"),
            )
            for h in ("train", "val")
        ],
        "images/train2017/a.png",
        "images/val2017/a.png",
    ),
    "keypoints beside instances of no year": (
        lambda r: [
            (coco(r / f"annotations/{kind}_{h}.json"), picture(r / h))
            for h in ("train", "val")
            for kind in ("instances", "person_keypoints")
        ],
        "train/a.png",
        "val/a.png",
    ),
    "train.json, val.json, images": (
        lambda r: (coco(r / "train.json"), coco(r / "val.json"), picture(r / "images")),
        "images/a.png",
        "images/a.png",
    ),
    "train.json, names with images/": (
        lambda r: (coco(r / "train.json", "images/a.png"), picture(r / "images")),
        "images/a.png",
        None,
    ),
    "names with backslashes": (
        lambda r: (coco(r / "train.json", "images\\a.png"), picture(r / "images")),
        "images/a.png",
        None,
    ),
    "Roboflow": (
        lambda r: [(coco(r / h / "_annotations.coco.json"), picture(r / h)) for h in ("train", "valid")],
        "train/a.png",
        "valid/a.png",
    ),
    "Roboflow, three halves": (
        lambda r: [(coco(r / h / "_annotations.coco.json"), picture(r / h)) for h in ("train", "valid", "test")],
        "train/a.png",
        "valid/a.png",
    ),
    "Roboflow, train and test": (
        lambda r: [(coco(r / h / "_annotations.coco.json"), picture(r / h)) for h in ("train", "test")],
        "train/a.png",
        "test/a.png",
    ),
    "Roboflow in a folder of an archive": (
        lambda r: [
            (coco(r / "my set/v1" / h / "_annotations.coco.json"), picture(r / "my set/v1" / h)) for h in ("train",)
        ],
        "train/a.png",
        None,
    ),
    "CVAT": (
        lambda r: (coco(r / "annotations/instances_default.json"), picture(r / "images")),
        "images/a.png",
        "images/a.png",
    ),
    "CVAT, pictures by subset": (
        lambda r: (coco(r / "annotations/instances_default.json"), picture(r / "images/default")),
        "images/default/a.png",
        "images/default/a.png",
    ),
    "CVAT with subsets": (
        lambda r: [
            (coco(r / f"annotations/instances_{h}.json"), picture(r / "images" / h)) for h in ("Train", "Validation")
        ],
        "images/Train/a.png",
        "images/Validation/a.png",
    ),
    "words in capitals": (
        lambda r: [(coco(r / f"Annotations/{h}.JSON"), picture(r / "Images" / h)) for h in ("TRAIN", "VAL")],
        "Images/TRAIN/a.png",
        "Images/VAL/a.png",
    ),
    "annotations/train.json, train": (
        lambda r: [(coco(r / f"annotations/{h}.json"), picture(r / h)) for h in ("train", "val")],
        "train/a.png",
        "val/a.png",
    ),
    "train/annotations.json, train/images": (
        lambda r: [(coco(r / h / "annotations.json"), picture(r / h / "images")) for h in ("train", "val")],
        "train/images/a.png",
        "val/images/a.png",
    ),
    "FiftyOne": (
        lambda r: (coco(r / "labels.json"), picture(r / "data")),
        "data/a.png",
        "data/a.png",
    ),
    "Label Studio": (
        lambda r: (coco(r / "result.json", "images/a.png"), picture(r / "images")),
        "images/a.png",
        "images/a.png",
    ),
    "Label Studio, another machine's paths": (
        lambda r: (coco(r / "result.json", "../../label-studio/data/media/upload/1/a.png"), picture(r / "images")),
        "images/a.png",
        "images/a.png",
    ),
    "one file of any name beside its pictures": (
        lambda r: (coco(r / "my labels (final).json"), (r / "package.json").write_text("{}"), picture(r)),
        "a.png",
        "a.png",
    ),
    "one file, and a list of results": (
        lambda r: (coco(r / "a.json"), (r / "results.json").write_text("[1]"), picture(r)),
        "a.png",
        "a.png",
    ),
    "one file of all beside its halves": (
        lambda r: (coco(r / "all.json"), coco(r / "val.json"), coco(r / "train.json"), picture(r)),
        "a.png",
        "a.png",
    ),
}
VOC: dict[str, tuple[Build, str | None, str | None]] = {
    "VOC": (lambda r: voc(r, "train", "val"), "JPEGImages/train.png", "JPEGImages/val.png"),
    "VOC, all four lists": (
        lambda r: voc(r, "trainval", "test", "val", "train"),
        "JPEGImages/train.png",
        "JPEGImages/val.png",
    ),
    "VOC, trainval and test": (
        lambda r: voc(r, "trainval", "test"),
        "JPEGImages/trainval.png",
        "JPEGImages/test.png",
    ),
    "VOC, lists in capitals": (
        lambda r: voc(r, "Train", "Validation"),
        "JPEGImages/Train.png",
        "JPEGImages/Validation.png",
    ),
    "VOC, lists of classes": (
        lambda r: voc(r, "train", "val", "cat_train", "cat_val"),
        "JPEGImages/train.png",
        "JPEGImages/val.png",
    ),
    "VOC, images": (
        lambda r: voc(r, "train", "val", annotations="annotations", pictures="images"),
        "images/train.png",
        "images/val.png",
    ),
    "VOC of CVAT": (lambda r: voc(r, "default"), "JPEGImages/default.png", "JPEGImages/default.png"),
    "VOCdevkit": (
        lambda r: (voc(r / "VOCdevkit/VOC2007", "trainval", "test"), voc(r / "VOCdevkit/VOC2012", "trainval")),
        "VOC2007/JPEGImages/VOC2007trainval.png",
        "VOC2007/JPEGImages/VOC2007test.png",
    ),
    "VOC of CVAT, default and Test": (
        lambda r: voc(r, "default", "Test"),
        "JPEGImages/default.png",
        "JPEGImages/Test.png",
    ),
    "VOC, halves within the names of lists": (
        lambda r: voc(r, "my_train", "my_val"),
        "JPEGImages/my_train.png",
        "JPEGImages/my_val.png",
    ),
    "VOC, lists in ImageSets beside Main": (
        lambda r: (
            voc(r, "train", "val"),
            [(r / f"ImageSets/Main/{h}.txt").rename(r / f"ImageSets/{h}.txt") for h in ("train", "val")],
        ),
        "JPEGImages/train.png",
        "JPEGImages/val.png",
    ),
    "VOC, lists beside the folders": (
        lambda r: (
            voc(r, "train", "val"),
            [(r / f"ImageSets/Main/{h}.txt").rename(r / f"{h}.txt") for h in ("train", "val")],
            (r / "notes.txt").write_text("hello"),
        ),
        "JPEGImages/train.png",
        "JPEGImages/val.png",
    ),
    "years of VOC with default.txt": (
        lambda r: [voc(r / year, "default") for year in ("VOC2007", "VOC2012")],
        "VOC2007/JPEGImages/VOC2007default.png",
        "VOC2007/JPEGImages/VOC2007default.png",
    ),
    "years of VOC without lists": (
        lambda r: [(xml(r / y / "Annotations", y), picture(r / y / "JPEGImages", y)) for y in ("VOC2007", "VOC2012")],
        "VOC2007/JPEGImages/VOC2007.png",
        "VOC2007/JPEGImages/VOC2007.png",
    ),
    "one year of VOC without lists, and one with": (
        lambda r: (voc(r / "VOC2012", "train", "val"), xml(r / "VOC2007/Annotations"), picture(r / "VOC2007/images")),
        "VOC2012/JPEGImages/VOC2012train.png",
        "VOC2012/JPEGImages/VOC2012val.png",
    ),
    "annotations/default and annotations/Test": (
        lambda r: [(xml(r / "annotations" / h), picture(r / "images" / h)) for h in ("default", "Test")],
        "images/default/a.png",
        "images/Test/a.png",
    ),
    "a copy beside a whole set": (
        lambda r: [(xml(p / "Annotations"), picture(p / "JPEGImages")) for p in (r, r / "copy")],
        "JPEGImages/a.png",
        "JPEGImages/a.png",
    ),
    "VOC without lists": (
        lambda r: (xml(r / "Annotations"), picture(r / "JPEGImages")),
        "JPEGImages/a.png",
        "JPEGImages/a.png",
    ),
    "annotations and images": (
        lambda r: (xml(r / "annotations"), picture(r / "images")),
        "images/a.png",
        "images/a.png",
    ),
    "annotations/train and images/train": (
        lambda r: [(xml(r / "annotations" / h), picture(r / "images" / h)) for h in ("train", "val")],
        "images/train/a.png",
        "images/val/a.png",
    ),
    "train/Annotations and train/JPEGImages": (
        lambda r: [(xml(r / h / "Annotations"), picture(r / h / "JPEGImages")) for h in ("train", "test")],
        "train/JPEGImages/a.png",
        "test/JPEGImages/a.png",
    ),
    "labelImg, beside the pictures": (lambda r: (xml(r), picture(r)), "a.png", "a.png"),
    "labelImg, beside the pictures in images": (
        lambda r: (xml(r / "images"), picture(r / "images")),
        "images/a.png",
        "images/a.png",
    ),
    "VOC of Roboflow": (
        lambda r: [(xml(r / h), picture(r / h)) for h in ("train", "valid", "test")],
        "train/a.png",
        "valid/a.png",
    ),
}


def first(root: Path, half: str) -> str | None:
    data = as_data(root)
    if not getattr(data, half):
        return None
    found = read_split(data, half)  # type: ignore[arg-type]
    assert found.classes == ("cat",)
    assert len(found.boxes) == len(found)
    assert (Path(data.root) / found.files[0]).is_file()
    return found.files[0]


KNOWN = {**COCO, **VOC}


@pytest.mark.parametrize("name", KNOWN)
def test_layouts(tmp_path: Path, name: str) -> None:
    build, train, val = KNOWN[name]
    build(tmp_path)
    assert (first(tmp_path, "train"), first(tmp_path, "val")) == (train, val)


APART: dict[str, Build] = {
    "train.json and val.json": lambda r: [coco(r / f"{h}.json") for h in ("train", "val")],
    "annotations of COCO 2017": lambda r: [coco(r / f"annotations/instances_{h}2017.json") for h in ("train", "val")],
    "names with folders of another machine": lambda r: [
        coco(r / f"{h}.json", f"/home/me/{h}/a.png") for h in ("train", "val")
    ],
    "Roboflow": lambda r: [coco(r / h / "_annotations.coco.json") for h in ("train", "valid")],
}


@pytest.mark.parametrize("pictures", ["train", "train2017", "images/train", "train/images", "Training set/1"])
@pytest.mark.parametrize("name", APART)
def test_one_half_never_takes_the_pictures_of_another(tmp_path: Path, name: str, pictures: str) -> None:
    APART[name](tmp_path)
    picture(tmp_path / pictures)
    for folder in ("val", "valid", "val2017"):
        (tmp_path / folder).mkdir(exist_ok=True)
    with pytest.raises(FileNotFoundError, match=r"val.*a\.png"):
        read_split(as_data(tmp_path), "val")
    file = next(file for file in sorted(tmp_path.rglob("*.json")) if half_of(str(file.relative_to(tmp_path))) == "val")
    with pytest.raises(FileNotFoundError, match=r"val.*a\.png"):
        read_split(as_data(file), "val")


def test_pictures_of_both_halves_in_one_folder(tmp_path: Path) -> None:
    for half in ("train", "val"):
        coco(tmp_path / f"{half}.json")
    picture(tmp_path / "trainval")
    assert first(tmp_path, "val") == first(tmp_path, "train") == "trainval/a.png"


UNDIVIDED_AND_TEST: dict[str, tuple[Build, str, str]] = {
    "CVAT": (
        lambda r: [
            (coco(r / f"annotations/instances_{h}.json", f"{h}.png"), picture(r / "images" / h, h))
            for h in ("default", "Test")
        ],
        "images/default/default.png",
        "images/Test/Test.png",
    ),
    "CVAT, one folder": (
        lambda r: [
            (coco(r / f"annotations/instances_{h}.json", f"{h}.png"), picture(r / "images", h))
            for h in ("default", "val")
        ],
        "images/default.png",
        "images/val.png",
    ),
    "annotations.json and test.json": (
        lambda r: [(coco(r / f"{h}.json", f"{h}.png"), picture(r / "images", h)) for h in ("annotations", "test")],
        "images/annotations.png",
        "images/test.png",
    ),
}


@pytest.mark.parametrize("name", UNDIVIDED_AND_TEST)
def test_what_is_not_divided_trains_beside_a_test_set(tmp_path: Path, name: str) -> None:
    build, train, val = UNDIVIDED_AND_TEST[name]
    build(tmp_path)
    assert (first(tmp_path, "train"), first(tmp_path, "val")) == (train, val)


def test_images_of_validation_in_the_file_that_trains(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    UNDIVIDED_AND_TEST["CVAT, one folder"][0](tmp_path)
    as_data(tmp_path)
    assert not caplog.text
    coco(tmp_path / "annotations/instances_default.json", "val.png")
    as_data(tmp_path)
    assert "1 of 1 images are in annotations/instances_default.json too, which trains: images/val.png" in caplog.text


def test_a_test_set_that_is_not_read_needs_no_pictures(tmp_path: Path) -> None:
    KNOWN["annotations/train.json, train"][0](tmp_path)
    coco(tmp_path / "annotations/test.json", "nowhere.png")
    assert first(tmp_path, "val") == "val/a.png"


@pytest.mark.parametrize("name", ["VOCdevkit", *(name for name in VOC if "years of VOC" in name or "one year" in name)])
def test_years_of_voc_are_joined(tmp_path: Path, name: str) -> None:
    KNOWN[name][0](tmp_path)
    assert len(read_split(as_data(tmp_path), "train")) == 2


def test_several_folders_of_one_half_are_joined(tmp_path: Path) -> None:
    for half in ("train_1", "train_2", "val"):
        for root in (tmp_path / "a" / half, tmp_path / "b" / half / "xml"):
            xml(root, half)
        picture(tmp_path / "a" / half, half)
        picture(tmp_path / "b" / half, half)
        xml(tmp_path / "c/Annotations" / half, half)
        picture(tmp_path / "c/JPEGImages" / half, half)
    voc(tmp_path / "d", "train_1", "train_2", "val")
    for folder in "abcd":
        found = read_split(as_data(tmp_path / folder), "train")
        assert [Path(found.files[image]).name for image in range(len(found))] == ["train_1.png", "train_2.png"]
        assert len(read_split(as_data(tmp_path / folder), "val")) == 1


def test_lists_that_are_not_plain(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    voc(tmp_path / "a", "trainval", "val")
    assert first(tmp_path / "a", "train") == "JPEGImages/trainval.png"
    assert "trainval.txt, of which val is a part by their names" in caplog.text
    caplog.clear()
    voc(tmp_path / "b", "trainval", "test", "x", "train")
    assert not caplog.text
    voc(tmp_path / "c", "test", "a", "b")
    assert first(tmp_path / "c", "train") is None
    assert "left out, because there are several for training: a.txt, b.txt" in caplog.text
    voc(tmp_path / "d", "train", "train_1", "val")
    assert first(tmp_path / "d", "train") == "JPEGImages/train.png"
    assert "left out beside train.txt: train_1.txt" in caplog.text
    voc(tmp_path / "e", "a_train", "b_train", "a_val")
    with pytest.raises(ConfigError, match=r"could be the same half: a_train\.txt, b_train\.txt\. Call those"):
        as_data(tmp_path / "e")
    voc(tmp_path / "f", "my_train", "my_val", "cat_train")
    (tmp_path / "f/ImageSets/Main/cat_train.txt").write_text("my_train -1\n")
    assert first(tmp_path / "f", "train") == "JPEGImages/my_train.png"
    caplog.clear()
    for half in ("trainval", "val"):
        coco(tmp_path / f"g/{half}.json")
    picture(tmp_path / "g/images")
    as_data(tmp_path / "g")
    assert "train is trainval.json, of which val is a part" in caplog.text


def test_what_is_there_is_listed(tmp_path: Path) -> None:
    picture(tmp_path / "pics")
    for number in range(3):
        (tmp_path / f"pics/{number}.csv").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.doc").write_text("")
    with pytest.raises(
        ConfigError, match=r"holds empty/ \(empty\), pics/ \(3 \.csv, 1 \.png\), notes\.doc\. Looked for"
    ):
        as_data(tmp_path)
    for number in range(30):
        (tmp_path / f"{number}.bin").write_text("")
    with pytest.raises(ConfigError, match="13 more"):
        as_data(tmp_path)


def test_what_is_in_the_only_folder_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds a/b/ with nothing"):
        as_data(tmp_path)


def test_several_coco_files_of_one_half(tmp_path: Path) -> None:
    picture(tmp_path)
    for name in ("a", "b"):
        coco(tmp_path / f"{name}.json")
    with pytest.raises(ConfigError, match=r"could be the same half: a\.json, b\.json\. Name those .*data\.train="):
        as_data(tmp_path)
    coco(tmp_path / "train_a.json")
    coco(tmp_path / "train_b.json")
    with pytest.raises(ConfigError, match=r"train_a\.json, train_b\.json"):
        as_data(tmp_path)


def test_broken_json_in_a_folder(tmp_path: Path) -> None:
    picture(tmp_path)
    (tmp_path / "train.json").write_text('{"images": [')
    with pytest.raises(DataError, match=r"train\.json is not a JSON object"):
        as_data(tmp_path)
    coco(tmp_path / "val.json")
    assert (first(tmp_path, "train"), first(tmp_path, "val")) == (None, "a.png")


def test_images_that_are_nowhere(tmp_path: Path) -> None:
    coco(tmp_path / "train.json")
    with pytest.raises(FileNotFoundError, match=r"train\.json: its first image a\.png is in none of"):
        as_data(tmp_path)


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("instances_train2017", "train"),
        ("Train", "train"),
        ("TRAIN", "train"),
        ("trainval", "train"),
        ("train_val", "train"),
        ("instancesValidation", "val"),
        ("valid", "val"),
        ("minival2014", "val"),
        ("test-dev2017", None),
        ("testing", "test"),
        ("strain", None),
        ("default", None),
        ("train_test", None),
    ],
)
def test_words_for_halves(name: str, half: str | None) -> None:
    assert half_of(name) == half


def test_a_half_of_another_year_of_coco_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("train2017", "val2014"):
        coco(tmp_path / f"annotations/instances_{name}.json")
        picture(tmp_path / name)
    data = as_data(tmp_path)
    assert [part.annotations for part in data.train] == ["annotations/instances_train2017.json"]
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path / 'annotations/instances_val2014.json'}: is not read")
    assert "data.val" in warning
