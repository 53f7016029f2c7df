import time
import unicodedata
from pathlib import Path

import pytest

from detzoo.data.files import Files
from detzoo.data.problems import DataError
from detzoo.data.voc import read_voc
from tests.data_files import draw, write_voc

BOX = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


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
    (tmp_path / "JPEGImages/b.jpg").rename(tmp_path / "JPEGImages/d.jpg")
    (tmp_path / "JPEGImages/c.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"none of the 3 images .*, e\.g\. a; there are 1 others, e\.g\. d\.jpg"
    ):
        read_voc(path, tmp_path)
    (tmp_path / "JPEGImages/d.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"no pictures in .*JPEGImages$"):
        read_voc(path, tmp_path)
    (tmp_path / "JPEGImages").rmdir()
    with pytest.raises(FileNotFoundError, match=r"no pictures in .* or JPEGImages in it"):
        read_voc(path, tmp_path)


def test_repeated_lines_and_second_columns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_voc(tmp_path, {"a": [], "b": []})
    path.write_text("a  1\nb -1\n\na.jpg 1\n")
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
        ("<annotation><object><bndbox><xmin>left</xmin></bndbox></object></annotation>", "<xmin> is 'left'"),
        (
            "<annotation><object><bndbox><xmax>1,5</xmax></bndbox></object></annotation>",
            "<xmax> is '1,5', not a number",
        ),
        ('<?xml version="1.0" encoding="foo"?><annotation/>', "foo"),
        ('<?xml version="1.0" encoding="gbk"?><annotation><a>\u20ac</a></annotation>', "gbk"),
        ("<annotations><image/></annotations>", "begins with <annotations>"),
        ("<annotation>&nothing;</annotation>", "not valid XML"),
        ("<annotation>\x00</annotation>", "not valid XML"),
    ],
)
def test_broken_xml_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write_voc(tmp_path, {"a": []})
    (tmp_path / "Annotations/a.xml").write_text(text)
    with pytest.raises(DataError, match=rf"a\.xml.*{message}"):
        read_voc(path, tmp_path)


def test_xml_that_is_no_file_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_voc(tmp_path, {"a": []})
    monkeypatch.setattr("detzoo.data.voc_xml.MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"a\.xml has .* more than"):
        read_voc(path, tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"train\.txt is not a file"):
        read_voc(path, tmp_path)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        *((text, False) for text in ("", "<difficult/>", "<difficult> </difficult>", "<difficult>0</difficult>")),
        *((f"<difficult>{word}</difficult>", False) for word in ("False", "no", "NO", "0.0", "n", "Unspecified", "-1")),
        *((f"<difficult>{word}</difficult>", True) for word in ("1", "True", "yes", " YES ", "1.0", "t", "2")),
    ],
)
def test_what_difficult_means(tmp_path: Path, caplog: pytest.LogCaptureFixture, tag: str, expected: bool) -> None:
    path = write_voc(tmp_path, {"a": []})
    (tmp_path / "Annotations/a.xml").write_text(f"<annotation><object><name>cat</name>{tag}{BOX}</object></annotation>")
    assert read_voc(path, tmp_path).ignore.tolist() == [expected]
    assert not caplog.text


@pytest.mark.parametrize("word", ["perhaps", "nan", "2 or 3"])
def test_a_word_for_difficult_that_nobody_knows_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    path = write_voc(tmp_path, {"a": []})
    text = f"<annotation><object><name>cat</name><difficult>{word}</difficult>{BOX}</object></annotation>"
    (tmp_path / "Annotations/a.xml").write_text(text)
    assert read_voc(path, tmp_path).ignore.tolist() == [False]
    assert (
        f"1 of 1 objects have a <difficult> that says neither yes nor no and count as not difficult: a.xml ({word!r})"
        in (caplog.text)
    )


@pytest.mark.parametrize(
    "size",
    [
        "",
        "<size/>",
        "<size><width></width><height></height></size>",
        "<size><width>30</width></size>",
        "<size><height>20</height></size>",
        *(
            f"<size><width>{word}</width><height>20</height></size>"
            for word in ("Unknown", "inf", "-inf", "nan", "1e30", "-30", "0", "30.5", "30px", "None")
        ),
    ],
)
def test_an_incomplete_size_comes_from_the_picture(tmp_path: Path, size: str) -> None:
    path = write_voc(tmp_path, {"a": []})
    (tmp_path / "Annotations/a.xml").write_text(f"<annotation>{size}<object><name>a</name>{BOX}</object></annotation>")
    found = read_voc(path, tmp_path)
    assert found.sizes.tolist() == [[20, 30]]
    assert found.boxes.tolist() == [[1, 1, 9, 9]]


@pytest.mark.parametrize("number", ["1e400", "-inf", "nan", "1e300"])
def test_corners_beyond_any_picture(tmp_path: Path, number: str) -> None:
    path = write_voc(tmp_path, {"a": []})
    text = f"<annotation><object><name>a</name>{BOX.replace('>9<', f'>{number}<')}</object></annotation>"
    (tmp_path / "Annotations/a.xml").write_text(text)
    assert read_voc(path, tmp_path).boxes.tolist() == ([[1, 1, 30, 20]] if number == "1e300" else [])


@pytest.mark.parametrize(
    "beside", ["a.xml", "a.txt", "a.json", "a.jpg.bak", "a.jpg~", "a.npy", "._a.jpg", "a.png/x.npy"]
)
def test_only_pictures_are_pictures(tmp_path: Path, beside: str) -> None:
    path = write_voc(tmp_path, {"a": []})
    other = tmp_path / "JPEGImages" / beside
    other.parent.mkdir(exist_ok=True)
    other.write_text("not a picture")
    assert read_voc(path, tmp_path).files[0] == "JPEGImages/a.jpg"


def test_two_pictures_of_one_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_voc(tmp_path, {"a": []})
    draw(tmp_path / "JPEGImages/a.png")
    assert read_voc(path, tmp_path).files[0] == "JPEGImages/a.jpg"
    assert "1 of 1 pictures share their name with another picture of another suffix" in caplog.text
    path.write_text("a.png\n")
    assert read_voc(path, tmp_path).files[0] == "JPEGImages/a.png"
    path.write_text("a.png\na.jpg\n")
    found = read_voc(path, tmp_path)
    assert [found.image_id(image) for image in range(2)] == ["a", "a.jpg"]


NFC, NFD = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("disk", "line"),
    [
        ("a", "a.jpg"),
        ("a", "a.JPG"),
        ("a", "A.jpg"),
        ("a", "a.xml"),
        ("a", "a  1"),
        ("a", "a.jpg -1"),
        ("my pic", "my pic"),
        ("my pic", "my pic.jpg"),
        ("my pic", "my pic 0"),
        ("my pic", "my%20pic.jpg"),
        ("img 1", "img 1"),
        ("img 1", "img 1 -1"),
        ("v1.5", "v1.5"),
        ("v1.5", "v1.5.jpg"),
        ("a", "JPEGImages/a.jpg"),
        ("a", "JPEGImages\\a.jpg"),
        ("a", "C:\\data\\JPEGImages\\a.jpg"),
        ("a", "/home/me/VOC/JPEGImages/a.jpg"),
        ("a", "./JPEGImages/a.jpg ./Annotations/a.xml"),
        ("sub/a", "sub/a"),
        ("sub/a", "sub\\a.jpg"),
        (NFC, NFD),
        (NFD, NFC),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_as_tools_write_them(tmp_path: Path, disk: str, line: str, end: str, encoding: str) -> None:
    path = write_voc(tmp_path, {"other": []})
    xml = tmp_path / "Annotations" / f"{disk}.xml"
    xml.parent.mkdir(exist_ok=True)
    xml.write_text(f"<annotation><object><name>cat</name>{BOX}</object></annotation>")
    draw(tmp_path / "JPEGImages" / f"{disk}.jpg")
    path.write_bytes(f"{line}{end}{end}other{end}".encode(encoding))
    found = read_voc(path, tmp_path)
    assert [found.files[image] for image in range(len(found))] == [f"JPEGImages/{disk}.jpg", "JPEGImages/other.jpg"]
    assert found.image_id(0) == disk
    assert len(found.boxes) == 1


def test_suffixes_in_capitals(tmp_path: Path) -> None:
    path = write_voc(tmp_path, {"a": [("cat", (1, 1, 9, 9))]})
    (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "JPEGImages/a.JPG")
    (tmp_path / "Annotations/a.xml").rename(tmp_path / "Annotations/a.XML")
    found = read_voc(path, tmp_path)
    assert (found.files[0], len(found.boxes)) == ("JPEGImages/a.JPG", 1)


def test_a_list_in_another_encoding_is_named(tmp_path: Path) -> None:
    path = write_voc(tmp_path, {"a": []})
    path.write_bytes(b"a\ncaf\xe9\n")
    with pytest.raises(DataError, match=r"train\.txt is not UTF-8 text, see line 2; save it as UTF-8"):
        read_voc(path, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "gbk", "shift_jis"])
def test_xml_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = write_voc(tmp_path, {"a": []})
    name = {"latin-1": "caf\u00e9", "gbk": "\u732b", "shift_jis": "\u732b"}.get(encoding, "caf\u00e9 \u732b")
    declared = encoding.removesuffix("-sig")
    text = (
        f'<?xml version="1.0" encoding="{declared}"?><annotation><object><name>{name}</name>{BOX}</object></annotation>'
    )
    (tmp_path / "Annotations/a.xml").write_bytes(text.encode(encoding))
    assert read_voc(path, tmp_path).classes == (name,)


def test_long_lists_take_time_in_proportion(tmp_path: Path) -> None:
    path = write_voc(tmp_path, {"a": []})
    path.write_text("a\n" + "".join(f"x{number}\n" for number in range(60_000)) * 2 + "a" + " " * 100_000 + "b\n")
    started = time.process_time()
    assert len(read_voc(path, tmp_path)) == 1
    assert time.process_time() - started < 10


def test_a_folder_of_xml_files_in_place_of_a_list(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_voc(tmp_path, {"b": [("dog", (1, 1, 9, 9))], "a": [("cat", (1, 1, 9, 9))], "c": []})
    found = read_voc(tmp_path / "Annotations", tmp_path)
    assert [found.image_id(image) for image in range(3)] == ["a", "b", "c"]
    assert found.labels.tolist() == [0, 1]
    (tmp_path / "JPEGImages").rename(tmp_path / "images")
    (tmp_path / "images/a.jpg").rename(tmp_path / "images/z.jpg")
    (tmp_path / "images/c.jpg").rename(tmp_path / "images/d.jpg")
    xml = tmp_path / "Annotations/a.xml"
    xml.write_text(xml.read_text().replace("<size>", "<filename>D:\\x\\z.jpg</filename><size>"))
    found = read_voc(tmp_path / "Annotations", tmp_path)
    assert [found.files[image] for image in range(2)] == ["images/z.jpg", "images/b.jpg"]
    assert "1 of 3 XML files have no picture" in caplog.text
    assert "1 of 3 pictures have no XML file" in caplog.text
    for picture in (tmp_path / "images").iterdir():
        picture.rename(tmp_path / "Annotations" / picture.name)  # as labelImg has them, beside each other
    (tmp_path / "images").rmdir()
    assert len(read_voc(tmp_path / "Annotations", tmp_path, "Annotations")) == 2


def test_xml_files_that_say_which_folder_their_picture_is_in(tmp_path: Path) -> None:
    """As WIDER Face's are in MMDetection's form: pictures lie in a folder for each event, XML files all in one."""
    write_voc(tmp_path, {"a": [("face", (1, 1, 9, 9))], "b": [("face", (1, 1, 9, 9))], "c": []})
    for name, folder in (("a", "0--Parade"), ("b", "1--Riot")):
        (tmp_path / "JPEGImages" / folder).mkdir()
        (tmp_path / f"JPEGImages/{name}.jpg").rename(tmp_path / f"JPEGImages/{folder}/1.jpg")
        xml = tmp_path / f"Annotations/{name}.xml"
        xml.write_text(xml.read_text().replace("<size>", f"<folder>{folder}</folder><filename>1.jpg</filename><size>"))
    xml = tmp_path / "Annotations/c.xml"
    xml.write_text(xml.read_text().replace("<size>", "<folder>elsewhere</folder><filename>c.jpg</filename><size>"))
    found = read_voc(tmp_path / "Annotations", tmp_path)
    assert [found.files[image] for image in range(3)] == [
        *("JPEGImages/0--Parade/1.jpg", "JPEGImages/1--Riot/1.jpg", "JPEGImages/c.jpg"),
    ]


def test_a_folder_of_xml_files_without_pictures_or_xml(tmp_path: Path) -> None:
    write_voc(tmp_path, {"a": []})
    (tmp_path / "JPEGImages/a.jpg").rename(tmp_path / "JPEGImages/b.jpg")
    with pytest.raises(FileNotFoundError, match=r"has its picture in .*JPEGImages, e\.g\. a\.xml"):
        read_voc(tmp_path / "Annotations", tmp_path)
    (tmp_path / "Annotations/a.xml").unlink()
    with pytest.raises(FileNotFoundError, match="no XML file in"):
        read_voc(tmp_path / "Annotations", tmp_path)


def test_files_in_circles_of_links(tmp_path: Path) -> None:
    draw(tmp_path / "a/b/1.png")
    (tmp_path / "a/b/c").symlink_to(tmp_path / "a")
    assert Files(tmp_path / "a").names == ["b/1.png"]


def test_a_picture_with_its_own_xml_file_is_not_given_to_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_voc(tmp_path, {"b": [("dog", (1, 1, 9, 9))], "a": [("cat", (1, 1, 9, 9))], "c": [("dog", (2, 2, 5, 5))]})
    sheets = tmp_path / "Annotations"
    for name, picture in (("a_flip", "a"), ("_0", "a"), ("z_1", "c"), ("z_2", "c")):
        text = (sheets / "b.xml").read_text().replace("<size>", f"<filename>{picture}.jpg</filename><size>")
        (sheets / f"{name}.xml").write_text(text)
    (sheets / "c.xml").unlink()
    found = read_voc(sheets, tmp_path)
    assert [found.files[image] for image in range(3)] == [f"JPEGImages/{name}.jpg" for name in "abc"]
    assert found.classes == ("cat", "dog")
    assert found.labels.tolist() == [0, 1, 1]
    assert "3 of 6 XML files name a picture that has another XML file and are left out" in caplog.text
    assert "a_flip.xml (a.jpg has a.xml)" in caplog.text
    assert "z_2.xml (c.jpg has z_1.xml)" in caplog.text
