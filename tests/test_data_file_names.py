"""Names of pictures as tools write them, and as they are on disk."""

import json
import time
import unicodedata
from pathlib import Path

import pytest

from detzoo.data.coco import read_coco
from detzoo.data.files import Files, locate

NFC, NFD = (unicodedata.normalize(form, "é ü.jpg") for form in ("NFC", "NFD"))


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("disk", "written"),
    [
        ("a.jpg", "a.jpg"),
        ("a.jpg", "./a.jpg"),
        ("a.jpg", "../images/a.jpg"),
        ("my pic.jpg", "my%20pic.jpg"),
        ("my%20pic.jpg", "my pic.jpg"),
        ("größe.jpg", "gr%C3%B6%C3%9Fe.jpg"),
        ("100%.jpg", "100%.jpg"),
        ("100%25.jpg", "100%.jpg"),
        ("a.jpg", "a.JPG"),
        ("A.JPG", "a.jpg"),
        ("IMG_1.JPeG", "img_1.jpeg"),
        (NFC, NFD),
        (NFD, NFC),
        (NFD.upper(), NFC),
        ("a.jpg", " a.jpg "),
        ("a.jpg", "images/a.jpg"),
        ("a.jpg", "data/images/a.jpg"),
        ("a.jpg", "images\\a.jpg"),
        ("sub/a.jpg", "sub\\a.jpg"),
        ("sub/a.jpg", "Sub//A.jpg"),
        ("sub/a.jpg", "/home/x/images/sub/a.jpg"),
        ("a.jpg", "C:\\Users\\x\\images\\a.jpg"),
        ("a.jpg", "file:///home/x/a.jpg"),
        ("a b.jpg", "https://example.org/images/a%20b.jpg"),
        ("a.jpg", "/data/local-files/?d=images/a.jpg"),
    ],
)
def test_names_that_plainly_mean_a_file(tmp_path: Path, disk: str, written: str) -> None:
    touch(tmp_path / "images", disk, "other.jpg")
    (found,) = locate(tmp_path, "images", [written])
    assert found is not None
    assert (tmp_path / found).samefile(tmp_path / "images" / disk)
    assert locate(tmp_path / "images", "", [written])[0] is not None
    assert locate(tmp_path, "images/", [written])[0] is not None
    listed = Files(tmp_path / "images").find(written)
    assert listed is not None
    assert (tmp_path / "images" / listed).samefile(tmp_path / found)


def test_an_absolute_path_of_this_machine(tmp_path: Path) -> None:
    touch(tmp_path / "far", "a.jpg")
    name = str(tmp_path / "far/a.jpg")
    assert locate(tmp_path / "elsewhere", "images", [name]) == [name]


@pytest.mark.parametrize(
    ("disk", "written"),
    [
        (["a.jpg"], "b.jpg"),
        (["a.png"], "a.jpg"),
        (["A.jpg", "a.JPG"], "a.jpg"),
        (["a.jpg"], ""),
        (["a.jpg"], "a\0.jpg"),
        (["a.jpg"], "\ud83d.jpg"),
        (["a.jpg"], "sub\0/a\ud83d.jpg"),
        (["a.jpg"], "x" * 5000),
    ],
)
def test_names_that_mean_no_file(tmp_path: Path, disk: list[str], written: str) -> None:
    touch(tmp_path / "images", *disk)
    assert locate(tmp_path, "images", [written]) == [None]


def test_the_very_name_wins(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "A.jpg", "images/b.jpg", "b.jpg")
    assert locate(tmp_path, "", ["a.jpg", "A.jpg", "images/b.jpg", "b.jpg"]) == [
        "a.jpg",
        "A.jpg",
        "images/b.jpg",
        "b.jpg",
    ]


def test_a_file_that_another_name_claims_is_not_given_away(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.jpg", "b.jpg")
    names = ["train/a.jpg", "val/a.jpg", "b.jpg", "old/b.jpg"]
    assert locate(tmp_path, "images", names) == [None, None, "images/b.jpg", None]


def test_what_was_found_elsewhere_and_what_was_not_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path / "images", "a 1.jpg", "b.png", "c.jpg")
    names = ["a%201.jpg", "b.jpg", "c.jpg", "gone.jpg"]
    images = [{"id": n, "file_name": name, "height": 20, "width": 30} for n, name in enumerate(names)]
    (tmp_path / "a.json").write_text(json.dumps({"images": images}))
    found = read_coco(tmp_path / "a.json", tmp_path, "images")
    assert [found.files[row] for row in range(len(found))] == ["images/a 1.jpg", "images/c.jpg"]
    assert found.image_ids.tolist() == [0, 2]  # pyright: ignore[reportAttributeAccessIssue]
    assert "2 of 4 images are not in" in caplog.text
    assert "b.jpg (but there is b.png), gone.jpg" in caplog.text
    assert "1 of 4 images have other names in the file than on disk: a%201.jpg is images/a 1.jpg" in caplog.text


def test_a_hundred_thousand_names_take_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder is listed once; the system is asked for no file that is not listed."""
    count = 20_000
    disk = [f"{number:06d}.jpg" for number in range(count)]
    listings: list[str] = []

    def listed(folder: str) -> list[str]:
        listings.append(str(folder))
        return disk if str(folder).rstrip("/").endswith("images") else ["images"]

    monkeypatch.setattr("os.listdir", listed)
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    start = time.process_time()
    found = locate(tmp_path, "images", [f"/mnt/share/project/set/{name.upper()}" for name in disk])
    assert found == [f"images/{name}" for name in disk]
    assert len(listings) == len(set(listings)) < 9
    assert time.process_time() - start < 15
