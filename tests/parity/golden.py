"""The recorded cases in tests/golden: one compressed file each, holding only what is compared.

Those in tests/golden/double were recorded by `tests.parity.original`, in double precision.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

GOLDEN = Path(__file__).parent.parent / "golden"
DOUBLE = GOLDEN / "double"
THIN = 384  # entries that are kept of a recorded tensor
KEPT = 100  # best detections that are kept of a recorded image


@dataclass(frozen=True)
class Golden:
    """What the original computed.

    Attributes:
        config: published file, relative to the original's folder of them.
        threshold: score of detections below which the case drops them, where that is not the published one.
        double: whether it computed in double precision.
        shapes: published state dict, key -> shape, in order.
        gain: scale of the stand-in weights.
        canvas: height and width of the input.
        sizes: height and width of each image on it.
        losses: every training loss.
        grad_norms: of each top-level child, of the sum of losses.
        stats: mean, std and absmax of recorded tensors, and their shape.
        arrays: recorded tensors, flat and thinned (see `thin`), and complete detections.
    """

    config: str
    threshold: float | None
    double: bool
    shapes: dict[str, list[int]]
    gain: float
    canvas: tuple[int, int]
    sizes: list[tuple[int, int]]
    losses: dict[str, float]
    grad_norms: dict[str, float]
    stats: dict[str, dict[str, Any]]
    arrays: dict[str, np.ndarray]

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


def load(name: str) -> Golden:
    """Read a case of tests/golden, or ``double/<case>``."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(arrays.pop("meta").tobytes())
    meta["canvas"] = tuple(meta["canvas"])
    meta["sizes"] = [tuple(size) for size in meta["sizes"]]
    return Golden(arrays=arrays, **meta)


def in_double(name: str) -> Golden | None:
    """The same case in double precision, where it has been recorded."""
    return load(f"double/{name}") if (DOUBLE / f"{name}.npz").exists() else None


def save(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a case: the fields of `Golden`, ``arrays`` apart."""
    packed: dict[str, Any] = {key: a.astype(np.float32) if a.dtype == np.float64 else a for key, a in arrays.items()}
    packed["meta"] = np.frombuffer(json.dumps(meta, separators=(",", ":")).encode(), dtype=np.uint8)
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **packed)
