"""Copy recorded cases into tests/golden: ``python -m tests.parity.import_cases DIR [PATTERN]``."""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from tests.parity.cases import CASES
from tests.parity.golden import GOLDEN, save


def main(arguments: list[str]) -> None:
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_dir():
        raise SystemExit("usage: python -m tests.parity.import_cases DIR [PATTERN]; DIR holds <case>.json and .npz")
    names = [name for name in CASES if fnmatchcase(name, arguments[1] if len(arguments) == 2 else "*")]
    for name in names:
        convert(Path(arguments[0]), name)
    size = sum((GOLDEN / f"{name}.npz").stat().st_size for name in names)
    print(f"{len(names)} cases, {size / 1000:.0f} kB in {GOLDEN}")


def convert(folder: Path, name: str) -> None:
    """Write one recorded case of ``folder`` into tests/golden."""
    record = json.loads((folder / f"{name}.json").read_text())
    meta = {
        "config": record["config"],
        "threshold": record.get("score_thr"),
        "double": False,
        "shapes": record["state"],
        "gain": record["gain"],
        "canvas": record["input_shape"][2:],
        "sizes": record["image_shapes"],
        "losses": {key: value for key, value in record["losses"].items() if "loss" in key},
        "grad_norms": record["grad_norms"],
        "stats": record["stats"],
    }
    with np.load(folder / f"{name}.npz") as file:
        save(GOLDEN / f"{name}.npz", meta, {key: file[key] for key in file.files})


if __name__ == "__main__":
    main(sys.argv[1:])
