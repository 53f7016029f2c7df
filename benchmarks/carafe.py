"""Time and memory of CARAFE, beside the same sums over unfolded neighbourhoods.

    python -m benchmarks.carafe

Upsampling by two with kernels of 5 x 5, as in the published pyramids and mask heads, of two kinds of maps: ``pyramid``,
the third finest of one image of 800 x 1088, and ``masks``, those of 16 RoIs. The ways take turns in one process on
one thread, after their results have been compared:

* ``detzoo``: `detzoo.ops.carafe.carafe`;
* ``unfold``: the neighbourhoods of all cells beside each other in memory, then one product and sum.

Writes ``results/carafe.csv``, a row per kind of maps, mode and way. ``mode``: ``predict``, or ``train``, with gradients
of the maps and kernels. Milliseconds are of processor time, ``ratio`` the median of those to detzoo's in the same
round; above 1 is slower than detzoo. ``peak_mb`` is the most that is allocated at once, inputs not counted.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.machine import cpu_name, versions
from benchmarks.memory import peak_bytes
from benchmarks.table import merge
from benchmarks.turns import in_turns
from detzoo.ops.carafe import carafe

SIZE, SCALE = 5, 2
MAPS = {"pyramid": (1, 256, 50, 68), "masks": (16, 256, 14, 14)}
MODES = ("predict", "train")


def by_unfolding(x: Tensor, kernels: Tensor, size: int, scale: int) -> Tensor:
    """The plain way, of one group of channels."""
    count, channels, height, width = x.shape
    around = F.unfold(x, size, padding=size // 2).view(count, channels, size**2, height, width)
    sums = torch.einsum("nckhw,nkshw->ncshw", around, kernels[:, 0])
    return F.pixel_shuffle(sums.flatten(1, 2), scale)


WAYS: dict[str, Callable[[Tensor, Tensor, int, int], Tensor]] = {"detzoo": carafe, "unfold": by_unfolding}


def make(kind: str, learning: bool) -> tuple[Tensor, Tensor]:
    """Noise, and kernels that sum to one."""
    generator = torch.Generator().manual_seed(0)
    count, channels, height, width = MAPS[kind]
    x = torch.randn(count, channels, height, width, generator=generator)
    kernels = torch.randn(count, 1, SIZE**2, SCALE**2, height, width, generator=generator).softmax(2)
    return x.requires_grad_(learning), kernels.requires_grad_(learning)


def measure(kind: str, mode: str, rounds: int) -> list[dict[str, Any]]:
    """Rows of the table for one kind of maps.

    Raises:
        AssertionError: the ways do not agree.
    """
    x, kernels = make(kind, mode == "train")

    def run(way: str) -> list[Tensor]:
        found = WAYS[way](x, kernels, SIZE, SCALE)
        return list(torch.autograd.grad(found, (x, kernels), found.detach())) if mode == "train" else [found]

    for ours, theirs in zip(run("detzoo"), run("unfold"), strict=True):  # also warms up
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    times = in_turns({way: functools.partial(run, way) for way in WAYS}, rounds, digits=None)
    rows = []
    for way, time in times.items():
        row = {"maps": kind, "mode": mode, "way": way, "shape": "x".join(map(str, MAPS[kind])), "rounds": rounds}
        row |= time
        row["peak_mb"] = round(peak_bytes(lambda way=way: run(way)) / 1e6)
        rows.append(row | {"threads": torch.get_num_threads()} | versions(("torch",)) | {"cpu": cpu_name()})
    return rows


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/carafe.csv"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for kind in MAPS for mode in MODES for row in measure(kind, mode, args.rounds)]
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    keys = ("maps", "mode", "way")
    merge(args.out, rows, keys, {"maps": tuple(MAPS), "mode": MODES, "way": tuple(WAYS)})


if __name__ == "__main__":
    main()
