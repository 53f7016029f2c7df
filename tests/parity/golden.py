"""The recorded cases in tests/golden: one compressed file each, holding only what is compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

GOLDEN = Path(__file__).parent.parent / "golden"
THIN = 384  # entries that are kept of a recorded tensor
KEPT = 100  # best detections that are kept of a recorded image


@dataclass(frozen=True)
class Golden:
    """What the original computed.

    Attributes:
        shapes: published state dict, key -> shape, in order.
        gain: scale of the stand-in weights.
        canvas: height and width of the input.
        sizes: height and width of each image on it.
        losses: every training loss.
        grad_norms: of each top-level child, of the sum of losses.
        stats: mean, std and absmax of recorded tensors, and their shape.
        arrays: recorded tensors, flat and thinned (see `thin`), complete detections, and where scores tie (see `ties`)
            ``proposals.<image>``.
    """

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
    def ties(self) -> bool:
        """Whether several recorded detections score exactly alike."""
        scores = [self.arrays[f"pred.{index}.scores"] for index in range(len(self.sizes))]
        return any(len(np.unique(one)) < len(one) for one in scores)

    @property
    def chosen(self) -> bool:
        """Whether the original's choice among tied proposals is recorded."""
        return "proposals.0" in self.arrays

    @property
    def masks(self) -> bool:
        """Whether instance masks are predicted."""
        return "pred.0.masks" in self.arrays


def thin(tensor: Tensor) -> np.ndarray:
    """At most 384 evenly spaced entries of the flattened tensor."""
    flat = tensor.detach().reshape(-1).numpy()
    return flat[thin_index(len(flat))]


def thin_index(count: int) -> np.ndarray:
    """Which of ``count`` entries `thin` keeps."""
    return np.linspace(0, count - 1, min(count, THIN)).astype(np.int64)


def load(name: str) -> Golden:
    """Read a case of tests/golden."""
    with np.load(_path(name)) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(arrays.pop("meta").tobytes())
    meta["canvas"] = tuple(meta["canvas"])
    meta["sizes"] = [tuple(size) for size in meta["sizes"]]
    return Golden(arrays=arrays, **meta)


def convert(folder: Path, name: str) -> None:
    """Write one recorded case of ``folder`` into tests/golden."""
    record = json.loads((folder / f"{name}.json").read_text())
    meta = {
        "shapes": record["state"],
        "gain": record["gain"],
        "canvas": record["input_shape"][2:],
        "sizes": record["image_shapes"],
        "losses": {key: value for key, value in record["losses"].items() if "loss" in key},
        "grad_norms": record["grad_norms"],
        "stats": record["stats"],
    }
    with np.load(folder / f"{name}.npz") as file:
        arrays: dict[str, Any] = {key: file[key] for key in file.files}
    arrays["meta"] = np.frombuffer(json.dumps(meta, separators=(",", ":")).encode(), dtype=np.uint8)
    GOLDEN.mkdir(exist_ok=True)
    np.savez_compressed(_path(name), **arrays)


def add(name: str, more: dict[str, np.ndarray]) -> None:
    """Add arrays to a case of tests/golden."""
    with np.load(_path(name)) as file:
        arrays: dict[str, Any] = {key: file[key] for key in file.files}
    np.savez_compressed(_path(name), **{**arrays, **more})


def _path(name: str) -> Path:
    return GOLDEN / f"{name}.npz"
