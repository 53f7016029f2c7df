"""Time and memory of multi-scale deformable attention, beside transformers' own, which is plain PyTorch.

    python -m benchmarks.deform_attention

Eight heads of 32 channels look at four places on each of four levels, as in the published Deformable DETRs:
``encoder``, every cell of one image of 800 x 1088 at places around it; ``decoder``, 300 queries of it anywhere. The
ways take turns in one process on one thread, after their results have been compared:

* ``detzoo``: `detzoo.ops.deform_attention.deform_attention`;
* ``transformers``: its ``MultiScaleDeformableAttention``.

Writes ``results/deform_attention.csv``, a row per kind of queries, mode and way. ``mode``: ``predict``, or ``train``,
with gradients of values, places and weights. Milliseconds are of processor time, ``ratio`` the median of those to
detzoo's in the same round; above 1 is slower than detzoo. ``peak_mb`` is the most that is allocated at once, inputs not
counted.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.models.deformable_detr.modeling_deformable_detr import MultiScaleDeformableAttention

from benchmarks.machine import cpu_name, versions
from benchmarks.memory import peak_bytes
from benchmarks.table import merge
from benchmarks.turns import in_turns
from detzoo.ops.deform_attention import deform_attention

SHAPES = [(100, 136), (50, 68), (25, 34), (13, 17)]
HEADS, CHANNELS, POINTS = 8, 32, 4
KINDS = ("encoder", "decoder")
MODES = ("predict", "train")
Arguments = tuple[Tensor, Tensor, Tensor]


def by_transformers(values: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """The peer's module, which has no parameters."""
    sides = torch.tensor(SHAPES)
    starts = torch.cat([sides.new_zeros(1), sides.prod(1).cumsum(0)[:-1]])
    return MultiScaleDeformableAttention()(values, sides, SHAPES, starts, places, weights, 64)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "detzoo": lambda values, places, weights: deform_attention(values, SHAPES, places, weights),
    "transformers": by_transformers,
}


def make(kind: str, learning: bool, dtype: torch.dtype = torch.float32) -> Arguments:
    """Noise: places within some cells of the middles of all cells, or anywhere."""
    generator = torch.Generator().manual_seed(0)
    cells = sum(height * width for height, width in SHAPES)
    queries = cells if kind == "encoder" else 300
    places = torch.rand(1, queries, HEADS, len(SHAPES), POINTS, 2, generator=generator, dtype=torch.float64)
    if kind == "encoder":
        middles = [
            torch.stack(torch.meshgrid((torch.arange(w) + 0.5) / w, (torch.arange(h) + 0.5) / h, indexing="xy"), -1)
            for h, w in SHAPES
        ]
        around = torch.cat([level.flatten(0, 1) for level in middles])
        reach = torch.tensor([[8 / w, 8 / h] for h, w in SHAPES])
        places = around[None, :, None, None, None] + (places - 0.5) * reach[:, None]
    values = torch.randn(1, cells, HEADS, CHANNELS, generator=generator)
    weights = torch.randn(1, queries, HEADS, len(SHAPES) * POINTS, generator=generator).softmax(-1)
    given = values, places, weights.unflatten(-1, (len(SHAPES), POINTS))
    values, places, weights = (part.to(dtype).requires_grad_(learning) for part in given)
    return values, places, weights


def measure(kind: str, mode: str, rounds: int) -> list[dict[str, Any]]:
    """Rows of the table for one kind of queries.

    Raises:
        AssertionError: the ways do not agree.
    """
    given = make(kind, mode == "train")

    def run(way: str, given: Arguments = given) -> list[Tensor]:
        found = WAYS[way](*given)
        return list(torch.autograd.grad(found, given, torch.ones_like(found))) if mode == "train" else [found]

    # in double precision: where rounding puts a place into the next cell, its gradient is another
    wide = make(kind, mode == "train", torch.float64)
    torch.testing.assert_close(run("detzoo", wide), run("transformers", wide))
    for way in WAYS:  # warms up
        run(way)
    times = in_turns({way: functools.partial(run, way) for way in WAYS}, rounds)
    rows = []
    for way, time in times.items():
        row = {"queries": kind, "mode": mode, "way": way, "number": given[1].shape[1], "rounds": rounds}
        row |= time
        row["peak_mb"] = round(peak_bytes(lambda way=way: run(way)) / 1e6, 1)
        rows.append(
            row | {"threads": torch.get_num_threads()} | versions(("torch", "transformers")) | {"cpu": cpu_name()}
        )
    return rows


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/deform_attention.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for kind in KINDS for mode in MODES for row in measure(kind, mode, args.rounds)]
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    merge(args.out, rows, ("queries", "mode", "way"), {"queries": KINDS, "mode": MODES, "way": tuple(WAYS)})


if __name__ == "__main__":
    main()
