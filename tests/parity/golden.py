"""The recorded cases in tests/golden: one compressed file each, holding only what is compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

GOLDEN = Path(__file__).parent.parent / "golden"
THIN = 384  # entries that are kept of a recorded tensor
KEPT = 100  # best detections that are kept of a recorded image
_BITS = 28  # of a float64's 52 that are kept: 2e-9, far below any bound, in two thirds of the space


@dataclass(frozen=True)
class Golden:
    """What the original computed in double precision.

    Attributes:
        config: published file, relative to the original's folder of them.
        threshold: score of detections below which the case drops them, where that is not the published one.
        shapes: published state dict, key -> shape, in order.
        gain: scale of the stand-in weights.
        canvas: height and width of the input.
        sizes: height and width of each image on it.
        found: number of detections of each image, of which the best `KEPT` are recorded.
        losses: every training loss.
        grad_norms: of each top-level child, of the sum of losses.
        stats: mean, std and absmax of recorded tensors, and their shape.
        arrays: recorded tensors, flat and thinned (see `thin`), and complete detections.
        every: so many of a thinned tensor's entries stand for one that is kept.
        scales: network pixels per pixel of the file, down and across, of each image; None: 1.
        roles: what each published parameter is, where its name does not say it.
    """

    config: str
    threshold: float | None
    shapes: dict[str, list[int]]
    gain: float
    canvas: tuple[int, int]
    sizes: list[tuple[int, int]]
    found: list[int]
    losses: dict[str, float]
    grad_norms: dict[str, float]
    stats: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]
    every: int = 1
    scales: list[tuple[float, float]] | None = None
    roles: dict[str, str] | None = None

    def thin(self, tensor: Tensor) -> np.ndarray:
        """What is kept of a tensor in this case."""
        kept = thin(tensor)
        return kept[:: self.every] if len(kept) == THIN else kept

    @property
    def originals(self) -> list[tuple[int, int]]:
        """Height and width of the file of each image."""
        scales = self.scales or [(1.0, 1.0)] * len(self.sizes)
        pairs = zip(self.sizes, scales, strict=True)
        return [(int(size[0] / scale[0] + 0.5), int(size[1] / scale[1] + 0.5)) for size, scale in pairs]

    def levels(self, prefix: str) -> list[str]:
        """Names of recorded tensors ``<prefix>.<...>`` in order."""
        return [name for name in self.stats if name.startswith(f"{prefix}.")]

    @property
    def masks(self) -> bool:
        """Whether instance masks are predicted."""
        return "pred.0.masks" in self.arrays


def thin(tensor: Tensor) -> np.ndarray:
    """At most 384 evenly spaced entries of the flattened tensor."""
    flat = tensor.detach().reshape(-1).numpy()
    return flat[np.linspace(0, len(flat) - 1, min(len(flat), THIN)).astype(np.int64)]


def path_of(name: str) -> Path:
    """Where a case is kept."""
    return GOLDEN / f"{name}.npz"


def load(name: str) -> Golden:
    """Read a case of tests/golden."""
    with np.load(path_of(name)) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(arrays.pop("meta").tobytes())
    meta["canvas"] = tuple(meta["canvas"])
    meta["sizes"] = [tuple(size) for size in meta["sizes"]]
    return Golden(arrays=arrays, **meta)


def save(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a case: the fields of `Golden`, ``arrays`` apart."""
    packed = {key: _rounded(a) if a.dtype == np.float64 else a for key, a in arrays.items()}
    packed["meta"] = np.frombuffer(json.dumps(meta, separators=(",", ":")).encode(), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **packed)  # pyright: ignore[reportArgumentType] (its stub wants a bool among them)


def _rounded(values: np.ndarray) -> np.ndarray:
    """float64 whose last digits are zero, which compress."""
    words = np.ascontiguousarray(values).view(np.uint64)
    dropped = 52 - _BITS
    return (((words + np.uint64(1 << (dropped - 1))) >> np.uint64(dropped)) << np.uint64(dropped)).view(np.float64)
