from typing import Any

import hotcoco
import numpy as np
import pycocotools.mask
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from detzoo.ops.masks import paste
from detzoo.ops.rle import encode_crops, encode_dense


def reference(mask: np.ndarray) -> dict[str, Any]:
    return dict(pycocotools.mask.encode(np.asfortranarray(mask.astype(np.uint8))))


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.8, 0.0])
@pytest.mark.parametrize("canvas", [(31, 44), (17, 9), (1, 1)])
def test_crops_encode_like_their_full_canvas(canvas: tuple[int, int], threshold: float):
    generator = torch.Generator().manual_seed(canvas[0])
    corners = torch.rand(20, 2, generator=generator) * 40 - 8
    boxes = torch.cat([corners, corners + torch.rand(20, 2, generator=generator) * 40], 1)
    crops = torch.rand(20, 14, 14, generator=generator)
    encoded = encode_crops(crops, boxes, canvas, threshold)
    for rle, mask in zip(encoded, paste(crops, boxes, canvas, threshold).numpy(), strict=True):
        assert rle == reference(mask)
        assert np.array_equal(hotcoco.mask.decode(rle), mask)


@pytest.mark.parametrize(
    "box",
    [
        [0, 0, 12, 10],  # the whole canvas: one run over all columns
        [0, 0, 6, 10],  # whole columns from the first pixel on
        [6, 0, 12, 10],  # whole columns to the last pixel
        [3, 2, 5, 4],
        [-5, -5, 30, 30],
        [5, 5, 5, 5],  # empty
        [40, 40, 50, 50],  # outside
        [-9, -9, -2, -2],
        [8, 3, 4, 9],  # inverted
    ],
)
def test_edges_of_the_canvas(box: list[float]):
    boxes, crops = torch.tensor([box], dtype=torch.float32), torch.ones(1, 28, 28)
    assert encode_crops(crops, boxes, (10, 12)) == [reference(paste(crops, boxes, (10, 12))[0].numpy())]


def test_nothing_in_nothing_out():
    assert encode_crops(torch.zeros(0, 28, 28), torch.zeros(0, 4), (10, 12)) == []
    assert encode_dense(torch.zeros(0, 10, 12, dtype=torch.bool)) == []


@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)
def test_any_window_of_any_canvas(inside: np.ndarray, margins: tuple[int, int, int, int]):
    """A crop whose grid cells are the pixels of its box is drawn as it is."""
    top, bottom, left, right = margins
    masks = np.pad(inside, ((0, 0), (top, bottom), (left, right)))
    high, wide = inside.shape[1:]
    boxes = torch.tensor([[left, top, left + wide, top + high]] * len(inside), dtype=torch.float32)
    encoded = encode_crops(torch.from_numpy(inside).float(), boxes, masks.shape[1:])
    assert encoded == [reference(mask) for mask in masks]


def test_long_runs_and_many_masks_at_once():
    canvas = (2000, 1500)
    boxes = torch.tensor(
        [[0.0, 0, 1500, 2000], [700, 900, 1400, 1900], [0, 0, 0, 0], [3, 5, 4, 6], [0, 1000, 1500, 2000]]
    )
    crops = torch.rand(5, 28, 28, generator=torch.Generator().manual_seed(0))
    crops[0], crops[4] = 1, 1
    pasted = paste(crops, boxes, canvas).numpy()
    assert encode_crops(crops, boxes, canvas) == [reference(mask) for mask in pasted]


@given(arrays.arrays(bool, st.tuples(st.integers(0, 3), st.integers(1, 7), st.integers(1, 7))))
def test_dense_masks(masks: np.ndarray):
    expected = [reference(mask) for mask in masks]
    assert encode_dense(torch.from_numpy(masks)) == expected
    assert encode_dense(masks) == expected
