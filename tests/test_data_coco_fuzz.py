"""Whatever stands in a COCO file: it is read, with a warning that counts what was left out, or refused by name."""

import copy
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detzoo.data.coco import category_names, first_images, read_coco
from detzoo.data.images import ImageError
from detzoo.data.problems import DataError
from tests.data_files import thing, write_coco

DEEP = "DEEP"
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2, 3.5, 1e300, -1e300, 2**31, 2**63, -(2**70), 10**400),
    *("", "x", "1", "-7", "1e999", "nan", "\ud800", "\0", "../x", "/", "a" * 5000),
    *([], [[]], [None], [1], [1, 2, 3, 4], ["a"], [[1, 2], [3, 4], [5, 6]], [True] * 8, [1e300] * 8, [10**400] * 6),
    *(
        {},
        {"a": 1},
        {"size": [20, 30]},
        {"counts": [1, 2], "size": [20, 30]},
        {"counts": "x", "size": "y"},
        {"x": 1, "y": 2},
    ),
    *(float("nan"), float("inf"), -float("inf"), DEEP),
]


def places(value: Any, path: Sequence[Any] = ()) -> Iterator[Sequence[Any]]:
    """Every place in a JSON value."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def text_with(content: Any, path: Sequence[Any], value: Any) -> bytes:
    changed = copy.deepcopy(content)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    deep = "[" * 20_000 + "]" * 20_000
    return json.dumps(changed).replace(f'"{DEEP}"', deep).encode()


def refusal(read: Callable[[], Any]) -> tuple[str, Any]:
    """The message of an error of ours, or what was read."""
    try:
        return "", read()
    except (DataError, ImageError, FileNotFoundError) as error:
        return str(error), None


def attempt(path: Path, root: Path, masks: bool) -> str:
    """What reading ends in."""
    error, found = refusal(lambda: read_coco(path, root, "images", masks))
    if found is None:
        assert str(path) in error or str(root) in error, error
        return "refused"
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.areas).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    assert (found.sizes > 0).all()
    assert len(found.starts) == len(found) + 1
    assert [found.files[row] for row in range(len(found))]
    return "read"


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    objects = [
        thing(1, 1, [4, 3, 10, 8], segmentation=[[4, 3, 14, 3, 14, 11]], area=40, iscrowd=0, ignore=0),
        thing(2, 1, [4, 3, 10, 8], segmentation={"counts": [0, 600], "size": [20, 30]}, area=600, iscrowd=1),
    ]
    return json.loads(write_coco(tmp_path, objects, images=(1,)).read_text())


def test_no_value_in_any_place_gives_another_error(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "train.json"
    ends = set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for place in places(content):
            if len(place) > 3 and isinstance(place[-1], int) and place[-1] > 0:
                continue  # one number of a list is as good as another
            for value in VALUES:
                path.write_bytes(text_with(content, place, value))
                try:
                    ends |= {attempt(path, tmp_path, masks) for masks in (False, True)}
                    for read in (category_names, first_images) if place[0] != "annotations" else ():
                        error, names = refusal(lambda read=read: read(path))
                        assert names is not None or str(path) in error
                except Exception as error:
                    raise AssertionError(f"{place} = {str(value)[:60]}: {error!r}") from error
    assert ends == {"read", "refused"}


@pytest.mark.parametrize(
    "place", ["image_id", "category_id", "bbox", "iscrowd", "ignore", "area", "segmentation", "id", None]
)
def test_one_odd_annotation_costs_at_most_itself(
    tmp_path: Path, content: dict[str, Any], place: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "train.json"
    for value in VALUES:
        caplog.clear()
        where = ("annotations", 0) if place is None else ("annotations", 0, place)
        path.write_bytes(text_with(content, where, value))
        if value == DEEP:
            with pytest.raises(DataError, match=r"recursion|nested"):  # of the whole file: its end cannot be found
                read_coco(path, tmp_path, "images", masks=True)
            continue
        found = read_coco(path, tmp_path, "images", masks=True)
        assert found.ids.tolist()[-1] == 2, value
        assert len(found.boxes) == 2 or caplog.records, value


def test_a_key_left_out(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "train.json"
    for place in places(content):
        if isinstance(place[-1], str):
            changed = copy.deepcopy(content)
            inner = changed
            for key in place[:-1]:
                inner = inner[key]
            del inner[place[-1]]
            path.write_text(json.dumps(changed))
            for masks in (False, True):
                attempt(path, tmp_path, masks)


def test_a_file_cut_off_or_changed_anywhere(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "train.json"
    whole = json.dumps(content).encode()
    for cut in range(0, len(whole), 7):
        path.write_bytes(whole[:cut])
        assert attempt(path, tmp_path, True) == "refused"
    rng = np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(whole)
        for place in rng.integers(0, len(whole), 2):
            broken[place] = rng.integers(0, 256)
        path.write_bytes(bytes(broken))
        attempt(path, tmp_path, True)
