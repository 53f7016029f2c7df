import json
import logging
import time
from pathlib import Path

import pytest

from detzoo.config import ConfigError, to_json
from detzoo.data.problems import DataError
from detzoo.data.read import class_names, read_split
from detzoo.data.source import as_data, shapes_data
from detzoo.recipes.settings import Data, Split
from tests.data_files import draw, thing, write_coco, write_voc


def test_settings_and_dicts() -> None:
    data = Data(root="x")
    assert as_data(data) is data
    assert as_data({"root": "x", "flip": 0.0}) == Data(root="x", flip=0.0)
    with pytest.raises(ConfigError, match="did you mean 'flip'"):
        as_data({"flp": 0.0})


def test_shapes() -> None:
    assert as_data("shapes") == shapes_data(200, 50)
    data = as_data("shapes:7/3")
    assert (data.kind, data.train[0].count, data.val[0].count, data.masks) == ("shapes", 7, 3, True)


def test_voc_folder(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a": [("cat", (1, 1, 9, 9))]}, "train")
    write_voc(tmp_path, {"b": [("cat", (1, 1, 9, 9))]}, "test")
    data = as_data(str(tmp_path))
    assert (data.kind, data.root, data.metric) == ("voc", str(tmp_path), "voc")
    assert data.val[0].annotations == "ImageSets/Main/test.txt"
    write_voc(tmp_path, {"c": [("cat", (1, 1, 9, 9))]}, "val")
    assert as_data(tmp_path).val[0].annotations == "ImageSets/Main/val.txt"
    assert len(read_split(as_data(tmp_path), "val")) == 1


@pytest.mark.parametrize(
    ("train", "images", "val", "val_images"),
    [
        ("annotations/instances_train2017.json", "train2017", "annotations/instances_val2017.json", "val2017"),
        ("train.json", "images", "val.json", "images"),
        ("train/_annotations.coco.json", "train", "valid/_annotations.coco.json", "valid"),
    ],
)
def test_coco_folders(tmp_path: Path, train: str, images: str, val: str, val_images: str) -> None:
    for file, folder in ((train, images), (val, val_images)):
        write_coco(tmp_path, [thing(1, 1, [1, 1, 5, 5])], file=file)
        draw(tmp_path / folder / "1.png")
        draw(tmp_path / folder / "2.png")
    data = as_data(tmp_path)
    assert data.train == (Split(annotations=train, images=images),)
    assert data.val == (Split(annotations=val, images=val_images),)
    for split in ("train", "val"):
        assert read_split(data, split).ids.tolist() == [1]
    (tmp_path / train).unlink()
    assert as_data(tmp_path).train == ()


def test_a_folder_without_a_known_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ImageSets/Main/train\.txt.*instances_train2017\.json.*train\.json"):
        as_data(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        as_data(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"a\.png"):
        as_data(draw(tmp_path / "a.png"))


@pytest.mark.parametrize(
    "file", ["val.json", "annotations/instances_val.json", "images/val.json", "images/sub/val.json"]
)
def test_a_coco_file_alone_is_to_be_evaluated_on(tmp_path: Path, file: str) -> None:
    path = write_coco(tmp_path, [thing(1, 2, [1, 1, 5, 5])], file=file)
    data = as_data(path)
    assert not data.train
    assert read_split(data, "val").ids.tolist() == [1]


def test_a_coco_file_far_from_its_images(tmp_path: Path) -> None:
    path = write_coco(tmp_path, [], file="a/b/c/val.json")
    with pytest.raises(FileNotFoundError, match=r"first image 1\.png is in none of"):
        as_data(path)


def test_a_settings_file(tmp_path: Path) -> None:
    write_coco(tmp_path / "set", [thing(1, 1, [1, 1, 5, 5])])
    data = Data(root="set", train=(Split(annotations="train.json", images="images"),))
    (tmp_path / "data.json").write_text(to_json(data))
    assert len(read_split(as_data(tmp_path / "data.json"), "train")) == 2
    (tmp_path / "data.json").write_text('{"rot": "set"}')
    with pytest.raises(ConfigError, match=r"data\.json.*did you mean 'root'"):
        as_data(tmp_path / "data.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ('{"annotations": []}', "no `images`"),
    ],
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=rf"a\.json.*{message}"):
        as_data(tmp_path / "a.json")


def three_classes(root: Path) -> Data:
    objects = [
        thing(1, 1, [1, 1, 5, 5], 10),
        thing(2, 1, [1, 1, 6, 6], 20, segmentation=[[1, 1, 6, 1, 6, 6]]),
        thing(3, 2, [1, 1, 7, 7], 30),
        thing(4, 2, [1, 1, 8, 8], 10, segmentation=[[2, 1, 6, 1, 6, 6]]),
    ]
    write_coco(root, objects, categories={30: "ant", 10: "cat", 20: "dog"})
    write_coco(root, objects[:2], categories={1: "dog", 20: "owl", 10: "cat"}, file="val.json")
    return as_data(root)


def test_both_splits_label_by_the_training_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = three_classes(tmp_path)
    train, val = read_split(data, "train"), read_split(data, "val")
    assert train.classes == val.classes == ("cat", "dog", "ant")
    assert val.category_ids.tolist() == [10, 1, -1]
    assert (val.ids.tolist(), val.labels.tolist()) == ([1], [0])  # category 20 is an owl there
    assert "owl" in caplog.text
    assert class_names(data, "val") == ["dog", "cat", "owl"]
    assert read_split(data.replace(train=()), "val").classes == ("dog", "cat", "owl")


def test_a_choice_of_classes_in_its_own_order(tmp_path: Path) -> None:
    data = three_classes(tmp_path).replace(classes=("dog", "cat"), masks=True)
    found = read_split(data, "train")
    assert found.classes == ("dog", "cat")
    assert found.ids.tolist() == [1, 2, 4]
    assert found.labels.tolist() == [1, 0, 1]
    assert found.starts.tolist() == [0, 2, 3]
    assert found.category_ids.tolist() == [20, 10]
    assert found.mask_kind.tolist() == [0, 1, 1]
    assert found.mask_ends.tolist()[0] == 0
    whole = read_split(data.replace(classes=None), "train")
    assert found.mask_bytes.tobytes() == whole.mask_bytes.tobytes()


def test_unknown_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = three_classes(tmp_path)
    with pytest.raises(
        ConfigError, match=r"'dgo' is not a class of the annotations; did you mean 'dog'.*cat, dog, ant, owl"
    ):
        read_split(data.replace(classes=("cat", "dgo")), "train")
    with pytest.raises(ConfigError, match="cat more than once"):
        read_split(data.replace(classes=("cat", "cat")), "train")
    found = read_split(data.replace(classes=("cat", "owl")), "train")  # only validation has owls
    assert found.labels.tolist() == [0, 0]
    assert "no annotation names owl" in caplog.text
    loose = read_split(data.replace(classes=("unicorn", "cat")), "val", strict=False)
    assert loose.labels.tolist() == [1]
    assert loose.category_ids.tolist() == [-1, 10]


def test_many_classes_take_time_in_proportion(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(60_000)]
    path = write_coco(tmp_path, [], categories=dict(enumerate(names)))
    data = Data(root=str(tmp_path), train=(Split(annotations=path.name, images="images"),), classes=tuple(names))
    started = time.process_time()
    assert read_split(data, "train").classes == tuple(names)
    with pytest.raises(ConfigError, match="and 59980 more more than once"):
        read_split(data.replace(classes=(*names, *names)), "train")
    assert time.process_time() - started < 10


def test_several_parts_become_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    polygon = [[1, 1, 6, 1, 6, 6]]
    write_coco(tmp_path / "a", [thing(1, 2, [1, 1, 5, 5], segmentation=polygon), thing(2, 1, [1, 1, 5, 5])])
    write_coco(
        tmp_path / "b", [thing(1, 3, [2, 2, 5, 5], 5, segmentation=polygon)], images=(3, 4), categories={5: "dog"}
    )
    parts = tuple(Split(annotations=f"{name}/train.json", images=f"{name}/images") for name in "ab")
    data = Data(root=str(tmp_path), train=parts, val=parts, masks=True)
    found = read_split(data, "train")
    assert found.classes == ("cat", "dog")
    assert found.starts.tolist() == [0, 1, 2, 3, 3]
    assert found.labels.tolist() == [0, 0, 1]
    assert [found.files[image] for image in (0, 3)] == ["a/images/1.png", "b/images/4.png"]
    assert [found.image_id(image) for image in range(4)] == [1, 2, 3, 4]
    assert np_lengths(found.mask_ends.tolist()) == [0, len(found.mask_bytes) // 2, len(found.mask_bytes) // 2]
    assert len(read_split(data, "val")) == 4
    with pytest.raises(DataError, match="share image ids"):
        read_split(data.replace(val=(parts[0], parts[0])), "val")


def np_lengths(ends: list[int]) -> list[int]:
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.train is empty"):
        read_split(Data(), "train")
    with pytest.raises(ConfigError, match="count"):
        read_split(Data(kind="shapes", train=(Split(),)), "train")
    write_voc(tmp_path, {"a": []})
    with pytest.raises(ConfigError, match="masks=false"):
        read_split(as_data(tmp_path).replace(masks=True), "train")
    with pytest.raises(DataError, match="no classes"):
        read_split(as_data(tmp_path), "train")
    (tmp_path / "a.json").write_text(json.dumps({"images": []}))
    with pytest.raises(DataError, match="lists no images"):
        read_split(Data(root=str(tmp_path), val=(Split(annotations="a.json"),)), "val")
