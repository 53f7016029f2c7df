"""Resizing to the nearest cell with corners on corners."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from detzoo.ops.nearest import nearest_on_corners


@pytest.mark.parametrize(("old", "new"), [((3, 4), (12, 32)), ((5, 7), (9, 14)), ((1, 2), (4, 1))])
def test_each_cell_gets_that_of_its_place_between_the_corners(old: tuple[int, int], new: tuple[int, int]) -> None:
    x = torch.arange(2.0 * old[0] * old[1]).view(1, 2, *old)
    result = nearest_on_corners(x, new)
    for i in range(new[0]):
        for j in range(new[1]):
            places = ((k * (a - 1) / max(1, b - 1)) for k, a, b in zip((i, j), old, new, strict=True))
            row, column = (math.floor(place + 0.5) for place in places)
            assert torch.equal(result[:, :, i, j], x[:, :, row, column])


def test_twice_as_large_it_is_the_same_as_with_edges_on_edges() -> None:
    x = torch.rand(1, 3, 5, 8)
    assert torch.equal(nearest_on_corners(x, (10, 16)), F.interpolate(x, (10, 16)))
    assert not torch.equal(nearest_on_corners(x, (20, 32)), F.interpolate(x, (20, 32)))
