"""Copy recorded cases into tests/golden: ``python -m tests.parity.import_cases DOUBLE PARAMETERS [PATTERN ...]``.

``DOUBLE`` is a folder of recordings in double precision, ``<case>.json`` and ``<case>.npz``, and ``PARAMETERS`` one
with ``<case>.json`` whose entry ``state`` lists the parameters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.cases import CASES, matching
from tests.parity.golden import path_of, save


def main(arguments: list[str]) -> int:
    return copy_cases("import_cases", [name for name in CASES if not name.startswith("paddle/")], convert, arguments)


def copy_cases(
    command: str, cases: Collection[str], convert: Callable[[Path, Path, str], object], arguments: list[str]
) -> int:
    """The command of this or of another toolbox's ``cases``, each of which ``convert`` writes."""
    if len(arguments) < 2 or not all(Path(one).is_dir() for one in arguments[:2]):
        print(f"usage: python -m tests.parity.{command} DOUBLE PARAMETERS [PATTERN ...]; both are folders")
        return 2
    names = [name for name in matching(arguments[2:]) if name in cases]
    for name in names:
        convert(Path(arguments[0]), Path(arguments[1]), name)
    print(f"{len(names)} cases, {sum(path_of(name).stat().st_size for name in names) / 1000:.0f} kB")
    return 0


def convert(double: Path, parameters: Path, name: str) -> None:
    """Write one recorded case into tests/golden.

    Raises:
        ValueError: it was not recorded in double precision.
    """
    record: dict[str, Any] = json.loads((double / f"{name}.json").read_text())
    if record["precision"] != "float64":
        raise ValueError(f"{name} was recorded in {record['precision']}")
    meta = {
        "config": record["config"],
        "threshold": record["score_thr"],
        "shapes": json.loads((parameters / f"{name}.json").read_text())["state"],
        "gain": record["gain"],
        "canvas": record["input_shape"][2:],
        "sizes": record["image_shapes"],
        "found": record["num_predictions"],
        "losses": {key: value for key, value in record["losses"].items() if "loss" in key},
        "grad_norms": record["grad_norms"],
        "stats": record["stats"],
    }
    with np.load(double / f"{name}.npz") as file:
        save(path_of(name), meta, {key: file[key] for key in file.files})


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
