from pathlib import Path

import pytest

from detzoo.data.problems import DataError
from detzoo.data.voc import read_voc
from tests.data_files import write_voc


def test_boxes_names_and_difficult_objects(tmp_path: Path) -> None:
    path = write_voc(
        tmp_path, {"b": [("dog", (1, 1, 30, 20)), ("cat!", (3, 4, 10.5, 12))], "a": [], "c": [("cat", (2, 2, 5, 5))]}
    )
    found = read_voc(path, tmp_path)
    assert found.classes == ("cat", "dog")
    assert found.category_ids.tolist() == [1, 2]
    assert [found.image_id(image) for image in range(3)] == ["b", "a", "c"]
    assert found.files[0] == "JPEGImages/b.jpg"
    assert found.sizes.tolist() == [[20, 30]] * 3
    assert found.starts.tolist() == [0, 2, 2, 3]
    assert found.boxes.tolist() == [[0, 0, 30, 20], [2, 3, 10.5, 12], [1, 1, 5, 5]]
    assert found.areas.tolist() == [600, 76.5, 16]
    assert found.labels.tolist() == [1, 0, 0]
    assert found.ignore.tolist() == [False, True, False]
    assert not found.crowd.any()
    assert found.ids.tolist() == [1, 2, 3]


def test_a_folder_below_the_root_and_other_extensions(tmp_path: Path) -> None:
    path = write_voc(tmp_path / "VOC2007", {"a": [("cat", (1, 1, 9, 9))]})
    (tmp_path / "VOC2007/JPEGImages/a.jpg").rename(tmp_path / "VOC2007/JPEGImages/a.PNG")
    assert read_voc(path, tmp_path, "VOC2007").files[0] == "VOC2007/JPEGImages/a.PNG"


def test_a_size_that_is_not_stated_comes_from_the_file(tmp_path: Path) -> None:
    path = write_voc(tmp_path, {"a": [("cat", (5, 5, 90, 9))], "b": []})
    xml = tmp_path / "Annotations/a.xml"
    xml.write_text(xml.read_text().replace("<width>30</width>", "<width>0</width>"))
    (tmp_path / "Annotations/b.xml").write_text("<annotation/>")
    found = read_voc(path, tmp_path)
    assert found.sizes.tolist() == [[20, 30]] * 2
    assert found.boxes.tolist() == [[4, 4, 30, 9]]


def test_bad_objects_are_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    nan = float("nan")
    path = write_voc(
        tmp_path,
        {
            "a": [
                ("cat", (5, 5, 4, 9)),
                ("cat", (50, 5, 60, 9)),
                ("cat", (nan, 5, 6, 9)),
                ("", (1, 1, 9, 9)),
                ("cat", (1, 1, 9, 9)),
            ]
        },
    )
    found = read_voc(path, tmp_path)
    assert found.boxes.tolist() == [[0, 0, 9, 9]]
    for text in ("1 of 4 boxes have no area", "1 of 4 boxes lie outside", "1 of 4 boxes are missing or not finite"):
        assert text in caplog.text
    assert "1 of 5 objects have no name and are left out: a.xml" in caplog.text


def test_an_object_without_a_box(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_voc(tmp_path, {"a": [("cat", (1, 1, 9, 9))]})
    (tmp_path / "Annotations/a.xml").write_text("<annotation><object><name>cat</name></object></annotation>")
    assert not len(read_voc(path, tmp_path).boxes)
    assert "1 of 1 boxes are missing" in caplog.text


def test_missing_files_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_voc(tmp_path, {"a": [], "b": [("cat", (1, 1, 9, 9))], "c": []})
    (tmp_path / "JPEGImages/a.jpg").unlink()
    (tmp_path / "Annotations/c.xml").unlink()
    found = read_voc(path, tmp_path)
    assert [found.image_id(image) for image in range(len(found))] == ["b"]
    assert "1 of 3 images are not in" in caplog.text
    assert "1 of 3 images have no XML file" in caplog.text
    (tmp_path / "Annotations/b.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.xml"):
        read_voc(path, tmp_path)
    (tmp_path / "JPEGImages/b.jpg").unlink()
    (tmp_path / "JPEGImages/c.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"none of the 3 images"):
        read_voc(path, tmp_path)
    (tmp_path / "JPEGImages").rmdir()
    with pytest.raises(FileNotFoundError, match=r"no image folder"):
        read_voc(path, tmp_path)


def test_repeated_lines_and_second_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_voc(tmp_path, {"a": [], "b": []})
    path.write_text("a  1\nb -1\n\na 1\n")
    assert len(read_voc(path, tmp_path)) == 2
    assert "1 of 3 images are listed more than once" in caplog.text


def test_broken_lists(tmp_path: Path) -> None:
    path = write_voc(tmp_path, {"a": []})
    path.write_text("\n")
    with pytest.raises(DataError, match="lists no images"):
        read_voc(path, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"val\.txt"):
        read_voc(tmp_path / "val.txt", tmp_path)


BOMB = '<!DOCTYPE a [<!ENTITY x "1"><!ENTITY y "&x;&x;">]><annotation><object><name>&y;</name></object></annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("<annotation><object>", "not valid XML"),
        (BOMB, "document type"),
        ("<annotation><object><bndbox><xmin>left</xmin></bndbox></object></annotation>", "left"),
    ],
)
def test_broken_xml_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write_voc(tmp_path, {"a": []})
    (tmp_path / "Annotations/a.xml").write_text(text)
    with pytest.raises(DataError, match=rf"a\.xml.*{message}"):
        read_voc(path, tmp_path)
