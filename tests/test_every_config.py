"""What `tests.every_config` says of a folder of configs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.every_config import NOTED, READ, REFUSED, Row, rows_of
from tests.mmdet_files import FASTER_RCNN_3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "_base_" / "models").mkdir(parents=True)
    (tmp_path / "_base_" / "default_runtime.py").write_text("default_scope = 'mmdet'\n")
    (tmp_path / "_base_" / "models" / "faster.py").write_text(FASTER_RCNN_3)
    (tmp_path / "faster").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "result", "reason"),
    [
        ("", READ, ""),
        ("optim_wrapper = dict(optimizer=dict(type='Adan', lr=0.1))\n", NOTED, "optim_wrapper.optimizer.type='Adan'"),
        ("model = dict(type='TOOD')\n", REFUSED, "faster/one.py: model.type='TOOD' cannot be imported"),
        ("_base_ = 'nowhere.py'\n", REFUSED, "faster/one.py: inherits from 'nowhere.py'"),
    ],
)
def test_a_config_is_read_or_refused(folder: Path, text: str, result: str, reason: str) -> None:
    base = "" if "_base_" in text else "_base_ = '../_base_/models/faster.py'\n"
    (folder / "faster" / "one.py").write_text(base + text)
    (row,) = rows_of(folder)
    assert (row.version, row.config, row.result) == ("3.x", "faster/one.py", result)
    assert reason in row.reason
    assert bool(row.reason) == bool(reason)
    assert str(folder) not in row.reason


def test_a_config_without_a_model_is_not_counted(folder: Path) -> None:
    (folder / "faster" / "data.py").write_text("data_root = 'data/'\n")
    assert list[Row](rows_of(folder)) == []
