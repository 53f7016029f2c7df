"""CUDA kernels on a machine without a GPU: a program under Triton's interpreter, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run_interpreted(program: str) -> None:
    """Run a Python program that compares kernels with what they have to give, and prints ``equal`` at its end."""
    pytest.importorskip("triton", reason="triton comes with torch on Linux only")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "equal", done.stderr
