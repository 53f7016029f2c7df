"""What a measurement was made on: part of every table of times."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Versions of those that are installed, by their names."""
    return {name: metadata.version(name) for name in libraries if find_spec(name)}


def cpu_name() -> str:
    """What the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
