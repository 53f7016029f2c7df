"""What every test starts from: one thread, no screen for matplotlib, and no test that cannot run here."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from hypothesis import settings

# the processes of pytest-xdist share the cores, and sums must not depend on how many there are
torch.set_num_threads(1)

# a busy machine is slow, which is no error; where nobody looks, the same examples each time
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


@pytest.hookimpl(trylast=True)  # after -m has chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a CUDA device where there is none; a skip would hide among tests that should have run."""
    if torch.cuda.is_available():
        return
    dropped = [item for item in items if item.get_closest_marker("gpu")]
    if dropped:
        items[:] = [item for item in items if not item.get_closest_marker("gpu")]
        config.hook.pytest_deselected(items=dropped)
