"""Copy recorded cases into tests/golden: ``python -m tests.parity.import_cases DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.parity.cases import CASES
from tests.parity.golden import GOLDEN, convert


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit("usage: python -m tests.parity.import_cases DIR, the folder of recorded <case>.json and .npz")
    for name in CASES:
        convert(Path(sys.argv[1]), name)
    size = sum((GOLDEN / f"{name}.npz").stat().st_size for name in CASES)
    print(f"{len(CASES)} cases, {size / 1000:.0f} kB in {GOLDEN}")


if __name__ == "__main__":
    main()
