"""The forms of `segmentation` that tools write, and what is taken from a mask."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as oracle
import pytest

from detzoo.data.annotations import NO_MASK, POLYGONS, RLE, Annotations
from detzoo.data.coco import read_coco
from detzoo.data.coco_masks import Outline, _surely_drawn, area, outline
from detzoo.data.masks import decode, decompress
from detzoo.data.problems import DataError
from tests.data_files import thing, write_coco

# pycocotools has not been built for NumPy 2's __array__ yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 20, 30
SQUARE = [4, 3, 14, 3, 14, 11, 4, 11]
PAIRS = [[4, 3], [14, 3], [14, 11], [4, 11]]
OTHER = [20, 3, 24, 3, 24, 8, 20, 8]
BITMAP = np.zeros((HEIGHT, WIDTH), bool)
BITMAP[3:11, 4:14] = True
BOTH = BITMAP.copy()
BOTH[3:8, 20:24] = True
COUNTS = [4 * HEIGHT + 3, *[8, HEIGHT - 8] * 9, 8, 16 * HEIGHT + 9]
TEXT = oracle.encode(np.asfortranarray(BITMAP.astype(np.uint8)))["counts"].decode()  # type: ignore[union-attr]
SIZE = [HEIGHT, WIDTH]

READ: dict[str, tuple[Any, int]] = {
    "polygon": ([SQUARE], POLYGONS),
    "flat": (SQUARE, POLYGONS),
    "flat texts": ([str(value) for value in SQUARE], POLYGONS),
    "pairs": (PAIRS, POLYGONS),
    "pairs of text": ([[str(x), f" {y}.0 "] for x, y in PAIRS], POLYGONS),
    "pairs in a polygon": ([PAIRS], POLYGONS),
    "named points": ([{"x": x, "y": y} for x, y in PAIRS], POLYGONS),
    "named points in a polygon": ([[{"x": x, "y": str(y)} for x, y in PAIRS]], POLYGONS),
    "one level too deep": ([[SQUARE]], POLYGONS),
    "three levels too deep": ([[[[SQUARE]]]], POLYGONS),
    "polygon and null": ([SQUARE, None], POLYGONS),
    "pairs and null": ([*PAIRS, None], POLYGONS),
    "polygon, empty ones and a line": ([[], SQUARE, [[]], [1, 1, 4, 4]], POLYGONS),
    "polygon and one with null": ([SQUARE, [1, None, 3, 4, 5, 6]], POLYGONS),
    "JSON as text": (json.dumps([SQUARE]), POLYGONS),
    "runs": ({"size": SIZE, "counts": COUNTS}, RLE),
    "runs as floats": ({"size": [float(v) for v in SIZE], "counts": [float(v) for v in COUNTS]}, RLE),
    "runs as texts": ({"size": [str(v) for v in SIZE], "counts": [str(v) for v in COUNTS]}, RLE),
    "runs in a list": ([{"size": SIZE, "counts": COUNTS}], RLE),
    "lists in lists": ({"size": [SIZE], "counts": [COUNTS]}, RLE),
    "runs without size": ({"counts": COUNTS}, RLE),
    "runs in one text": ({"counts": str(COUNTS), "size": str(SIZE)}, RLE),
    "runs with commas": ({"counts": ",".join(map(str, COUNTS)), "size": "20,30"}, RLE),
    "runs with blanks": ({"counts": " ".join(map(str, COUNTS)), "size": {"width": WIDTH, "height": HEIGHT}}, RLE),
    "compressed, size by name": ({"counts": TEXT, "size": {"h": HEIGHT, "w": str(WIDTH)}}, RLE),
    "size null": ({"counts": COUNTS, "size": None}, RLE),
    "size empty": ({"counts": COUNTS, "size": []}, RLE),
    "size swapped": ({"counts": COUNTS, "size": SIZE[::-1]}, RLE),
    "more fields": ({"counts": COUNTS, "size": SIZE, "x": [1]}, RLE),
    "compressed": ({"counts": TEXT, "size": SIZE}, RLE),
    "compressed without size": ({"counts": TEXT}, RLE),
    "compressed, size swapped": ({"counts": TEXT, "size": SIZE[::-1]}, RLE),
    "compressed alone": (TEXT, RLE),
    "bytes as Python shows them": ({"counts": str(TEXT.encode()), "size": SIZE}, RLE),
    "runs as JSON in text": (json.dumps({"counts": TEXT, "size": SIZE}), RLE),
}
TWO: dict[str, tuple[Any, int]] = {
    "polygons": ([SQUARE, OTHER], POLYGONS),
    "too deep": ([[SQUARE], [[OTHER]]], POLYGONS),
    "polygon and runs": ([OTHER, {"size": SIZE, "counts": COUNTS}], RLE),
    "pairs and runs": ([[[20, 3], [24, 3], [24, 8], [20, 8]], {"counts": TEXT}], RLE),
}
NONE: dict[str, Any] = {
    "empty text": "",
    "text": "none",
    "broken JSON": "[[1, 2",
    "number": 5,
    "true": True,
    "empty object": {},
    "object": {"a": 1},
    "empty list": [[]],
    "null": [None],
    "words": ["a", "b", "c", "d", "e", "f"],
    "odd number": [[1, 1, 9, 1, 9, 9, 5]],
    "two points": [1, 1, 9, 9],
    "two pairs": [[1, 1], [9, 9]],
    "null inside": [[1, 1, 9, None, 9, 9]],
    "pair with null": [[1, 1], [9, None], [9, 9]],
    "triples": [[1, 1, 0], [9, 1, 0], [9, 9, 0]],
    "infinite": [[1, 1, 9, "inf", 9, 9]],
    "huge integer": [[1, 1, 9, 10**400, 9, 9]],
    "huge float": [[1, 1, 9, "1e999", 9, 9]],
    "a line": [[1, 1, 9, 1, 5, 1]],
    "a point": [[5, 5, 5, 5, 5, 5]],
    "outside": [[-90, -90, -50, -90, -50, -50]],
    "far outside": [[1e300, 1e300, 1e301, 1e300, 1e301, 1e301]],
    "no counts": {"size": SIZE},
    "counts null": {"size": SIZE, "counts": None},
    "counts empty": {"size": SIZE, "counts": []},
    "counts too few": {"size": SIZE, "counts": [5, 5]},
    "counts half": {"size": SIZE, "counts": [0.5, 599.5]},
    "counts negative": {"size": SIZE, "counts": [-5, 605]},
    "counts with null": {"size": SIZE, "counts": [None, 600]},
    "counts deep": {"size": SIZE, "counts": [[[600]]]},
    "all background": {"size": SIZE, "counts": [600]},
    "of another size": {"size": [40, 60], "counts": [0, 2400]},
    "of another size, right sum": {"size": [60, 10], "counts": [0, 600]},
    "counts in words": {"size": SIZE, "counts": "5, x"},
    "counts in a text too few": {"size": SIZE, "counts": "[5, 5]"},
    "of another size in text": {"size": "60,10", "counts": [0, 600]},
    "of another size by name": {"size": {"height": 10, "width": 60}, "counts": [0, 600]},
    "size by other names": {"size": {"a": 10}, "counts": [0, 600]},
    "size in words": {"size": "20x30", "counts": [0, 600]},
    "compressed, cut off": {"size": SIZE, "counts": TEXT[:-1] + "o"},
    "compressed, too long": {"size": SIZE, "counts": TEXT + TEXT},
    "compressed, not ascii": {"size": SIZE, "counts": "é猫"},
    "compressed, odd letters": {"size": SIZE, "counts": "~~~"},
    "compressed, endless": {"size": SIZE, "counts": "o" * 500},
    "bytes, broken": {"size": SIZE, "counts": "b'\\x'"},
    "too deep to look": json.loads("[" * 60 + "]" * 60),
}


def read(root: Path, *shapes: Any, **more: Any) -> Annotations:
    """Objects with these outlines, and one that is as it should be."""
    fields = {"area": 80, **more}
    objects = [thing(n + 1, 1, [4, 3, 10, 8], segmentation=shape, **fields) for n, shape in enumerate(shapes)]
    path = write_coco(root, [*objects, thing(99, 1, [4, 3, 10, 8], segmentation=[SQUARE], area=80)])
    return read_coco(path, root, "images", masks=True)


@pytest.mark.parametrize("form", READ)
def test_forms_that_are_read(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    shape, kind = READ[form]
    found = read(tmp_path, shape)
    assert found.mask_kind.tolist() == [kind, POLYGONS]
    assert np.array_equal(decode(found, 0, HEIGHT, WIDTH), BITMAP)
    assert not caplog.records


@pytest.mark.parametrize("form", TWO)
def test_forms_of_several_parts(tmp_path: Path, form: str) -> None:
    shape, kind = TWO[form]
    found = read(tmp_path, shape)
    assert found.mask_kind.tolist() == [kind, POLYGONS]
    assert np.array_equal(decode(found, 0, HEIGHT, WIDTH), BOTH)


@pytest.mark.parametrize("form", NONE)
def test_what_is_no_mask_costs_one_object_its_mask(tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture) -> None:
    found = read(tmp_path, NONE[form])
    assert found.mask_kind.tolist() == [NO_MASK, POLYGONS]
    assert np.array_equal(decode(found, 1, HEIGHT, WIDTH), BITMAP)
    assert found.boxes.tolist() == [[4, 3, 14, 11]] * 2
    assert "1 of 2 objects have no usable mask" in caplog.text
    assert caplog.text.rstrip().endswith(": 1")
    assert len(caplog.records) == 1


def test_a_file_whose_masks_are_all_unusable_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    objects = [thing(n, 1, [4, 3, 10, 8], segmentation=shape) for n, shape in enumerate([[[1, 1, 2, 2]], "x", None])]
    found = read_coco(write_coco(tmp_path, objects), tmp_path, "images", masks=True)
    assert found.mask_kind.tolist() == [NO_MASK] * 3
    assert "3 of 3 objects have no usable mask" in caplog.text


@pytest.mark.parametrize("shape", [None, [], {}, ""])
def test_a_file_without_masks_is_an_error(tmp_path: Path, shape: Any) -> None:
    path = write_coco(tmp_path, [thing(1, 1, [4, 3, 10, 8], segmentation=shape)])
    with pytest.raises(DataError, match=r"no object has a `segmentation`.*masks=false"):
        read_coco(path, tmp_path, "images", masks=True)


BOXES: dict[str, Any] = {
    "null": None,
    "empty": [],
    "zeros": [0, 0, 0, 0],
    "no size": [4, 3, 0, 0],
    "flat": [4, 3, 10, 0],
    "negative": [14, 11, -10, -8],
    "short": [4, 3],
    "with null": [4, 3, None, 8],
    "words": ["a", "b", "c", "d"],
    "text": "none",
    "object": {"a": 1},
    "number": 7,
    "infinite": [4, 3, 1e400, 8],
    "huge": [1e300, 1e300, 1e300, 1e300],
}


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("form", BOXES)
def test_a_box_that_is_none_is_taken_from_the_mask(
    tmp_path: Path, form: str, masks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    text = json.dumps(BOXES[form]).replace("Infinity", "1e999")
    objects = [
        thing(1, 1, "BOX", segmentation=[SQUARE], area=70),  # type: ignore[arg-type]
        thing(2, 1, "BOX", segmentation={"counts": TEXT, "size": SIZE}, area=70),  # type: ignore[arg-type]
        thing(3, 1, "BOX", area=70),  # type: ignore[arg-type]
        thing(4, 1, "BOX", segmentation=[[1, 1, 9, 1, 5, 1]], area=70),  # type: ignore[arg-type]
        thing(5, 1, [1, 2, 3, 4], segmentation=[SQUARE], area=70),
    ]
    path = write_coco(tmp_path, objects)
    path.write_text(path.read_text().replace('"BOX"', text))
    found = read_coco(path, tmp_path, "images", masks=masks)
    assert found.ids.tolist() == [1, 2, 5]
    assert found.boxes.tolist() == [[4, 3, 14, 11], [4, 3, 14, 11], [1, 2, 4, 6]]
    assert found.areas.tolist() == [70, 70, 70]
    assert "2 of 5 annotations have a mask but no box with an area and get the box around it: 1, 2" in caplog.text
    assert "2 of 5 boxes" in caplog.text


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("value", [None, -1, "x", 1e300, 1e400, [3], True])
def test_an_area_that_is_left_out_is_the_masks(tmp_path: Path, masks: bool, value: Any) -> None:
    triangle = [4, 3, 14, 3, 4, 11]
    objects = [
        thing(1, 1, [4, 3, 10, 8], segmentation=[triangle], area="AREA"),
        thing(2, 1, [4, 3, 10, 8], segmentation={"counts": COUNTS, "size": SIZE}, area="AREA"),
        thing(3, 1, [4, 3, 10, 8], area="AREA"),
        thing(4, 1, [4, 3, 10, 8], area="7.5", segmentation=[triangle]),
    ]
    path = write_coco(tmp_path, objects)
    path.write_text(path.read_text().replace('"AREA"', json.dumps(value).replace("Infinity", "1e999")))
    found = read_coco(path, tmp_path, "images", masks=masks)
    shape: Any = [triangle]
    pixels = oracle.decode(oracle.merge(oracle.frPyObjects(shape, HEIGHT, WIDTH))).sum()
    assert found.areas.tolist() == [pixels, 80, 80, 7.5]


@pytest.mark.parametrize("seed", range(4))
def test_only_masks_that_have_pixels_are_taken_as_drawn_without_drawing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (40, 60)
    outlines = []
    for _ in range(400):
        count = int(rng.integers(1, 3))
        angles = np.sort(rng.uniform(0, 2 * np.pi, (count, int(rng.integers(3, 9)))), axis=1)
        around = np.stack([np.cos(angles), np.sin(angles)], axis=2) * rng.uniform(0.2, 12, (count, 1, 1))
        points = rng.uniform(-3, 60, (count, 1, 2)) + around * rng.choice([1, 1, 0.02], 2)
        outlines.append(Outline(points.reshape(count, -1).round(2).tolist()))
    sure = np.array(_surely_drawn(outlines, [size] * len(outlines)))
    pixels = np.array([area(found, size) for found in outlines])
    assert (pixels[sure] > 0).all()
    assert 0.1 < sure.mean() < 0.9
    assert (pixels == 0).any()


@pytest.mark.parametrize("seed", range(3))
def test_compressed_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(edge) for edge in rng.integers(1, 400, 2))
    bitmap = rng.random((height, width)) > rng.choice([0.02, 0.5, 0.999])
    encoded = oracle.encode(np.asfortranarray(bitmap.astype(np.uint8)))["counts"]
    runs = decompress(encoded)  # type: ignore[arg-type]
    assert runs is not None
    assert np.array_equal(np.repeat(np.arange(len(runs)) % 2, runs), bitmap.T.reshape(-1))
    found = outline({"counts": encoded.decode()}, (height, width))  # type: ignore[union-attr]
    assert found is not None
    assert found.area == bitmap.sum()
