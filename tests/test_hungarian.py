"""Matching against every possible assignment of a small problem."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from detzoo.ops.hungarian import hungarian


def least(cost: Tensor) -> float:
    """The least total cost of giving as many rows as possible a column of their own, by trying everything."""
    queries, objects = cost.shape
    if queries < objects:
        return least(cost.T)
    choices = permutations(range(queries), objects)
    return min(sum(float(cost[query, column]) for column, query in enumerate(some)) for some in choices)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), queries=st.integers(1, 5), objects=st.integers(0, 4), rows=st.integers(1, 3))
def test_it_is_the_best_of_all_assignments(seed: int, queries: int, objects: int, rows: int):
    generator = torch.Generator().manual_seed(seed)
    # multiples of 1/4 add up exactly; there are ties and negative costs among them
    cost = torch.randint(-20, 20, (rows, queries, 4), generator=generator) / 4
    valid = torch.rand(rows, 4, generator=generator).argsort(1) < objects
    slots = hungarian(cost, valid)
    assert (slots.shape, slots.dtype) == ((rows, queries), torch.int64)
    for row in range(rows):
        matched = slots[row] >= 0
        columns = slots[row][matched]
        assert int(matched.sum()) == min(queries, objects)
        assert len(set(columns.tolist())) == len(columns)
        assert bool(valid[row, columns].all())
        total = float(cost[row][matched, columns].sum())
        assert total == least(cost[row][:, valid[row]])
        assert slots[row].tolist() == hungarian(cost[row : row + 1], valid[row : row + 1])[0].tolist()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_no_number_does_not_break_it(bad: float):
    cost = torch.tensor([[[1.0, 2.0], [bad, 1.0], [3.0, 3.0]]])
    slots = hungarian(cost, torch.tensor([[True, True]]))
    assert sorted(slots[0].tolist()) == [-1, 0, 1]


def test_half_precision_costs_are_taken():
    cost = torch.tensor([[[1.0, 5.0], [0.0, 1.0]]], dtype=torch.bfloat16, requires_grad=True)
    assert hungarian(cost, torch.tensor([[True, True]])).tolist() == [[0, 1]]


def test_it_is_a_well_behaved_operator():
    cost = torch.rand(3, 6, 4).masked_fill(torch.tensor([[False, False, True, True]]), torch.inf)
    torch.library.opcheck(torch.ops.detzoo.hungarian.default, (cost, [4, 2]))


def test_parts_are_matched_by_themselves():
    cost, valid = torch.rand(2, 9, 4), torch.tensor([[True, True, True, False], [True, False, True, True]])
    apart = [hungarian(part, valid) for part in cost.split([5, 1, 3], 1)]
    assert torch.equal(hungarian(cost, valid, [5, 1, 3]), torch.cat(apart, 1))
