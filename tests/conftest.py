"""What every test starts from: one thread, no screen for matplotlib, and no test that cannot run here."""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.mmdet_files import write_all

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


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MMDetection's configs, which tests may add files to."""
    folder = tmp_path_factory.mktemp("configs")
    write_all(folder)
    return folder


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """Classes as mmengine pickles them."""
    made = types.SimpleNamespace()
    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer", "mmengine.config.config"):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history = np.array([1.0, 2.0])
            self._statistics_methods = {"min": HistoryBuffer.smallest}

        def smallest(self) -> float:
            return 0.0

    class ConfigDict(dict):
        def __reduce_ex__(self, _: Any) -> Any:
            return (ConfigDict, (dict(self),), None, None, None)

    for kind, home in ((HistoryBuffer, "mmengine.logging.history_buffer"), (ConfigDict, "mmengine.config.config")):
        kind.__module__, kind.__qualname__ = home, kind.__name__
        setattr(sys.modules[home], kind.__name__, kind)
        setattr(made, kind.__name__, kind)
    HistoryBuffer.smallest.__module__ = HistoryBuffer.__module__
    HistoryBuffer.smallest.__qualname__ = "HistoryBuffer.smallest"
    return made
