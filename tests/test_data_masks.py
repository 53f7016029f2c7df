from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pycocotools.mask as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detzoo.data import masks
from detzoo.data.annotations import NO_MASK, POLYGONS, RLE, Annotations, Columns, arrange
from detzoo.data.masks import FARTHEST, decode, decode_polygons, encode_polygons, nearest, rle
from detzoo.data.problems import DataError

# pycocotools has not been built for NumPy 2's __array__ yet
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def store(kinds: Sequence[int], pieces: Sequence[np.ndarray], height: int, width: int) -> Annotations:
    """A store of one image."""
    count = len(kinds)
    columns = Columns(
        image=np.zeros(count, np.int64),
        boxes=np.tile(np.array([0, 0, width, height], np.float32), (count, 1)),
        labels=np.zeros(count, np.int32),
        areas=np.ones(count, np.float32),
        crowd=np.zeros(count, bool),
        ignore=np.zeros(count, bool),
        ids=np.arange(count) + 7,
        mask_kind=np.array(kinds, np.uint8),
        mask_lengths=np.array([len(piece) for piece in pieces], np.int64),
        masks=np.concatenate([*pieces, np.zeros(0, np.uint8)]),
    )
    sizes = np.array([[height, width]], np.int32)
    return arrange(columns, np.ones(count, bool), ["thing"], [1], [1], ["a.jpg"], sizes)


def polygon_store(objects: Sequence[Sequence[Sequence[float]]], height: int, width: int) -> Annotations:
    buffer, lengths = encode_polygons(objects)
    pieces = np.split(buffer, np.cumsum(lengths)[:-1])
    return store([POLYGONS] * len(objects), pieces, height, width)


def drawn(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    shapes: Any = [list(polygon) for polygon in polygons]
    parts = oracle.frPyObjects(shapes, height, width)
    return oracle.decode(oracle.merge(parts)).astype(bool)


coordinates = st.floats(-40, 120, allow_nan=False, width=64)
polygon = st.integers(3, 9).flatmap(lambda n: st.lists(coordinates, min_size=2 * n, max_size=2 * n))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(polygon, min_size=1, max_size=3), min_size=1, max_size=4), st.integers(1, 90), st.integers(1, 90)
)
def test_polygons_are_drawn_as_pycocotools_does(objects: list[list[list[float]]], height: int, width: int) -> None:
    annotations = polygon_store(objects, height, width)
    for row, polygons in enumerate(objects):
        assert np.array_equal(decode(annotations, row, height, width), drawn(polygons, height, width))


def test_two_decimals_and_large_images() -> None:
    rng = np.random.default_rng(0)
    for size in (60, 400, 20000):
        shape = (rng.uniform(0, size, 40)).round(2).tolist()
        annotations = polygon_store([[shape]], 300, 300)
        assert np.array_equal(decode(annotations, 0, 300, 300), drawn([shape], 300, 300))


def test_polygons_survive_on_a_grid_of_a_fifth_of_a_pixel() -> None:
    first, second = [0.0, 1.2, 640.4, 0.6, 3.0, 99.8], [5.0, 5.0, 6.0, 5.0, 6.0, 6.0, 5.0, 6.0]
    buffer, lengths = encode_polygons([[first, second]])
    back = decode_polygons(buffer)
    assert lengths.tolist() == [len(buffer)]
    assert [part.reshape(-1).tolist() for part in back] == [first, second]


def test_broken_vertices_do_not_overflow() -> None:
    buffer, _ = encode_polygons([[[0.0, 0.0, 1e300, 0.0, 0.0, 1e300]]])
    assert decode_polygons(buffer)[0].max() == FARTHEST


def test_no_polygons() -> None:
    buffer, lengths = encode_polygons([])
    assert len(buffer) == len(lengths) == 0


def test_run_lengths_and_objects_without_mask() -> None:
    bitmap = np.random.default_rng(0).random((13, 9)) > 0.5
    runs = oracle.encode(np.asfortranarray(bitmap.astype(np.uint8)))
    piece = np.frombuffer(runs["counts"], np.uint8)  # type: ignore[arg-type]
    annotations = store([RLE, NO_MASK, RLE], [piece, np.zeros(0, np.uint8), piece], 13, 9)
    assert np.array_equal(decode(annotations, 2, 13, 9), bitmap)
    assert rle(annotations, 0, 13, 9) == {"size": [13, 9], "counts": runs["counts"]}
    assert rle(annotations, 1, 13, 9) is None
    assert not decode(annotations, 1, 13, 9).any()


def test_run_lengths_of_another_size_name_the_object() -> None:
    runs = oracle.encode(np.asfortranarray(np.ones((13, 9), np.uint8)))
    annotations = store([RLE], [np.frombuffer(runs["counts"], np.uint8)], 13, 9)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="object 7"):
        decode(annotations, 0, 5, 9)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 60), st.integers(1, 130))
def test_nearest_takes_the_pixels_opencv_takes(old: int, new: int) -> None:
    row = np.arange(old, dtype=np.uint8)[None]
    theirs = cv2.resize(row, (new, 1), interpolation=cv2.INTER_NEAREST)[0]
    assert np.array_equal(nearest(old, new), theirs)


@pytest.mark.parametrize("flip", [False, True])
def test_resized_masks_equal_opencv_on_the_whole_bitmap(flip: bool) -> None:
    rng = np.random.default_rng(1)
    objects = [[rng.uniform(5, 35, 10).tolist()] for _ in range(6)]
    annotations = polygon_store(objects, 40, 50)
    for after in ((40, 50), (64, 80), (25, 31), (90, 40)):
        rows, columns = (nearest(old, new) for old, new in zip((40, 50), after, strict=True))
        ours = masks.drawn(annotations, range(6), (40, 50), rows, columns[::-1] if flip else columns).dense()
        for row, polygons in enumerate(objects):
            whole = drawn(polygons, 40, 50).astype(np.uint8)
            expected = cv2.resize(whole, after[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
            assert np.array_equal(ours[row].numpy(), expected[:, ::-1] if flip else expected)


def test_masks_of_a_window_that_reaches_out_of_the_picture() -> None:
    bitmap = np.random.default_rng(0).random((13, 9)) > 0.5
    runs = oracle.encode(np.asfortranarray(bitmap.astype(np.uint8)))
    annotations = store([RLE], [np.frombuffer(runs["counts"], np.uint8)], 13, 9)  # type: ignore[arg-type]
    rows, columns = np.array([-1, -1, *range(13), -1]), np.array([*range(8, 2, -1), -1])
    expected = np.zeros((16, 7), dtype=bool)
    expected[2:15, :6] = bitmap[:, 8:2:-1]
    assert np.array_equal(masks.drawn(annotations, [0], (13, 9), rows, columns).dense()[0].numpy(), expected)
    nowhere = np.full(4, -1)
    assert not masks.drawn(annotations, [0], (13, 9), nowhere, columns).windows.any()


def test_masks_of_nothing() -> None:
    annotations = store([NO_MASK], [np.zeros(0, np.uint8)], 4, 4)
    places = nearest(4, 8)
    assert masks.drawn(annotations, [], (4, 4), places, places).shape == (0, 8, 8)
    assert not masks.drawn(annotations, [0], (4, 4), places, places).windows.any()
