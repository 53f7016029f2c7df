from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from detzoo.train.log import read_log
from tests.train_two_ranks import main

ROOT = Path(__file__).parent.parent


def test_two_ranks_compute_what_one_computes_with_the_same_batch(tmp_path: Path) -> None:
    one_rank, two_ranks = tmp_path / "one", tmp_path / "two"
    main(one_rank, batch=4)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.train_two_ranks", str(two_ranks), "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    one = torch.load(one_rank / "rank0.pt")
    ranks = [torch.load(two_ranks / f"rank{rank}.pt") for rank in (0, 1)]
    for kind in ("weights", "averaged"):
        for name, value in one[kind].items():
            torch.testing.assert_close(ranks[0][kind][name], value, rtol=1e-5, atol=1e-6)
            assert torch.equal(ranks[0][kind][name], ranks[1][kind][name])
    assert_close(ranks[0]["history"], one["history"])
    assert ranks[0]["history"] == ranks[1]["history"]
    weights = [load_file(two_ranks / run / "last.safetensors") for run in ("own", "again")]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    for run in ("", "real", "own", "again"):
        logs = [read_log(out / run / "log.jsonl") for out in (two_ranks, one_rank)]
        keys = ("event", "update", "lr", "losses")
        assert_close(*([[record.get(key) for key in keys] for record in log] for log in logs))


def assert_close(left: Any, right: Any) -> None:
    """Equal structures with numbers that are equal up to rounding."""
    if isinstance(right, dict):
        assert left.keys() == right.keys()
        for key, value in right.items():
            assert_close(left[key], value)
    elif isinstance(right, list):
        for first, second in zip(left, right, strict=True):
            assert_close(first, second)
    else:
        assert left == (pytest.approx(right, rel=1e-5) if isinstance(right, float) else right)
