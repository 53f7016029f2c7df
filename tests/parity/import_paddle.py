"""Copy cases of PaddleDetection to tests/golden: ``python -m tests.parity.import_paddle DOUBLE PARAMETERS [PATTERN]``.

``DOUBLE`` is a folder of recordings in double precision, ``<case>.json`` and ``<case>.npz``, and ``PARAMETERS`` one
with ``<case>.json`` whose entry ``state`` lists the parameters. Cases of the static-graph releases lie in ``static`` of
both. Of a thinned tensor every fourth entry is kept; what another case holds whole is left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.golden import THIN, path_of, save
from tests.parity.import_cases import copy_cases
from tests.parity.paddle_cases import PADDLE, USUAL

EVERY = 4
# the other RoIAlign, of which there are cases of its own; images of every class; targets that losses show
LEFT_OUT = (
    *("raw.fixed_aligned_false.", "raw.anchors.", "target.mask.masks", "target.0", "target.1", "target.2"),
    "after_step.",
)


def main(arguments: list[str]) -> int:
    return copy_cases("import_paddle", PADDLE, convert, arguments)


def convert(double: Path, parameters: Path, name: str) -> None:
    """Write one recorded case into tests/golden.

    Raises:
        ValueError: it was not recorded in double precision.
    """
    place = name.removeprefix("paddle/")
    record: dict[str, Any] = json.loads((double / f"{place}.json").read_text())
    published: dict[str, Any] = json.loads((parameters / f"{place}.json").read_text())
    if record["precision"] != "float64":
        raise ValueError(f"{name} was recorded in {record['precision']}")
    with np.load(double / f"{place}.npz") as file:
        left_out = {*LEFT_OUT, *_of_test_mode(file.files)} if "roles" in published else LEFT_OUT
        arrays = {key: _fewer(file[key]) for key in file.files if not key.startswith(tuple(left_out))}
    meta = {
        "config": record["config"],
        "threshold": _threshold(record["overrides"]),
        "shapes": published["state"],
        "gain": record["gain"],
        "canvas": record["input_shape"][2:],
        "sizes": record["image_shapes"],
        "found": record["num_predictions"],
        "losses": record.get("losses", {}),
        "grad_norms": record.get("grad_norms", {}),
        "stats": {key: record["stats"][key] for key in arrays if key in record["stats"]},
        "every": EVERY,
        "scales": record["scale_factor"],
        "roles": published.get("roles"),
    }
    save(path_of(name), meta, arrays)


def _of_test_mode(names: Collection[str]) -> set[str]:
    """What a static case has beyond what is compared: outputs of heads, and maps of Darknet that nothing reads."""
    unread = {"backbone.0@", "backbone.1@"} if {"backbone.4@0", "raw.yolo.0@0"} <= set(names) else set()
    return {"raw.", *unread}


def _threshold(overrides: Mapping[str, Any]) -> float | None:
    """Least score of a detection; None: as in most cases, or there is none."""
    for name, value in overrides.items():
        found = _threshold(value) if isinstance(value, Mapping) else value if name == "score_threshold" else None
        if found is not None:
            return None if found == USUAL else found
    return None


def _fewer(values: np.ndarray) -> np.ndarray:
    return values[::EVERY] if values.shape == (THIN,) else values


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
