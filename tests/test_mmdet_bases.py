"""Where a config's bases are found, new-style configs, and configs as objects."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import detzoo
from detzoo.cli import main
from detzoo.config import ConfigError
from detzoo.interop.mmdet.configs import checked, read_file
from detzoo.interop.mmdet.importer import read_config
from tests.mmdet_files import RETINANET_2


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder of configs like MMDetection's."""
    folder = tmp_path / "mmdetection" / "configs"
    for name in ("_base_", "retinanet"):
        (folder / name).mkdir(parents=True)
    (folder / "_base_" / "run.py").write_text("log_level = 'INFO'\n")
    (folder / "retinanet" / "r50.py").write_text("_base_ = '../_base_/run.py'\n" + RETINANET_2)
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine" / "c.py"


BASES = ("mmdet::retinanet/r50.py", "../../../configs/retinanet/r50.py", "../retinanet/r50.py", "retinanet/r50.py")


@pytest.mark.parametrize("base", BASES)
def test_bases_in_a_checkout_elsewhere(base: str, checkout: Path, mine: Path) -> None:
    mine.write_text(f"_base_ = [{base!r}]\nmodel = dict(bbox_head=dict(num_classes=80))\n")
    for folder in (checkout, checkout.parent, str(checkout)):
        values = read_file(mine, folder)
        assert values["log_level"] == "INFO"
        assert (
            read_config(mine, configs=folder).recipe.model
            == read_config(checkout / "retinanet" / "r50.py").recipe.model
        )
    with pytest.raises(ConfigError, match=r"c\.py: inherits from .*no such .*; pass .*configs=DIR"):
        read_file(mine)
    with pytest.raises(ConfigError, match=r"no such \.py or \.json file, nor in .*mine"):
        read_file(mine, mine.parent)
    with pytest.raises(ConfigError, match=r"there is no folder .*gone"):
        read_file(mine, mine.parent / "gone")


def test_an_installed_mmdetection_is_found_and_not_imported(
    checkout: Path, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "mmdet"
    (package / ".mim").mkdir(parents=True)
    checkout.rename(package / ".mim" / "configs")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(package.parent))
    mine.write_text("_base_ = 'mmdet::retinanet/r50.py'\n")
    assert read_file(mine)["log_level"] == "INFO"
    assert "mmdet" not in sys.modules
    mine.write_text("_base_ = 'mmpretrain::resnet/r50.py'\n")
    with pytest.raises(ConfigError, match="mmpretrain::resnet"):
        read_file(mine)


NEW = """
from mmengine.config import read_base
with read_base():
    from {where} import *
    from ..common.run import level as how
from mmdet.models import RetinaNet
from mmdet.models.dense_heads import RetinaHead
import torch.nn as nn
model.update(dict(type=RetinaNet))
model.backbone.update(norm_cfg=dict(type=nn.BatchNorm2d, requires_grad=True))
model.merge(dict(bbox_head=dict(type=RetinaHead, num_classes=80)))
"""


@pytest.mark.parametrize("where", ["..retinanet.r50", "mmdet.configs.retinanet.r50"])
def test_new_style_configs(where: str, checkout: Path, tmp_path: Path) -> None:
    plain = read_config(checkout / "retinanet" / "r50.py").recipe.model
    (checkout / "retinanet" / "r50.py").write_text(RETINANET_2)
    (checkout / "common").mkdir()
    (checkout / "common" / "run.py").write_text("level = 'INFO'\n")
    new = checkout / "mine" / "new.py"
    new.parent.mkdir()
    new.write_text(NEW.format(where=where))
    assert read_config(new, configs=checkout).recipe.model == plain
    assert read_file(new, checkout)["how"] == "INFO"
    away = tmp_path / "away.py"
    away.write_text(NEW.format(where=where).replace("..common", "mmdet.configs.common"))
    assert read_config(away, configs=checkout).recipe.model == plain
    with pytest.raises(ConfigError, match=r"away\.py: inherits from '.*retinanet\.r50'"):
        read_file(away)


def test_full_names_of_classes_are_those_of_dumps(mine: Path) -> None:
    mine.write_text(RETINANET_2)
    plain = read_config(mine).recipe.model
    mine.write_text(
        RETINANET_2
        + "model['type'] = 'mmdet.models.detectors.retinanet.RetinaNet'\n"
        + "model['backbone'].update(type='mmdet.models.backbones.resnet.ResNet')\n"
        + "model['backbone']['norm_cfg'].update(type='torch.nn.modules.batchnorm.BatchNorm2d')\n"
    )
    assert read_config(mine).recipe.model == plain
    mine.write_text(RETINANET_2 + "model['type'] = 'theirs.RetinaNet'\n")
    with pytest.raises(ConfigError, match=r"theirs\.RetinaNet"):
        read_config(mine)


class Config:
    """As mmengine's: no mapping, with the dict inside."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__setattr__("_cfg_dict", values)

    def __getattr__(self, name: str) -> Any:
        return self._cfg_dict[name]


def test_configs_as_objects(mine: Path) -> None:
    mine.write_text(RETINANET_2)
    values: Any = dict(dict.items(read_file(mine)))
    plain = read_config(values).recipe.model
    values["custom_hooks"] = [object(), {None: lambda: 1}]
    values["model"]["backbone"] |= {"out_indices": range(4), "depth": np.int64(50)}
    values["work_dir"] = Path("runs")
    values["model"]["neck"]["in_channels"] = np.array([256, 512, 1024, 2048])
    values["model"]["backbone"]["norm_cfg"]["type"] = torch.nn.BatchNorm2d
    assert read_config(Config(values)).recipe.model == plain
    assert read_config(types.MappingProxyType(values)).recipe.model == plain
    assert checked({"a": torch.float16, "b": range(2), "c": np.float64(0.5)}) == {
        "a": "torch.float16",
        "b": [0, 1],
        "c": 0.5,
    }
    with pytest.raises(ConfigError, match="a config is a path, a dict or a Config of mmengine, not int"):
        detzoo.from_mmdet(3)
    values["model"]["backbone"]["depth"] = object()
    with pytest.raises(ConfigError, match=r"backbone\.depth is not known here, because of .*a object, which no config"):
        read_config(values)


def test_the_command_line_takes_the_folder(checkout: Path, mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text("_base_ = 'mmdet::retinanet/gone.py'\n")
    weights = mine.with_name("w.pth")
    torch.save({"state_dict": {"w": torch.zeros(1)}}, weights)
    code = main(
        ["convert", str(weights), "--config", str(mine), "--configs", str(checkout), "--out", str(mine.with_name("o"))]
    )
    assert code != 0
    assert f"nor in {checkout}" in capsys.readouterr().err
    assert main(["convert", str(weights), "--config", str(mine), "--out", str(mine.with_name("o"))]) != 0
    assert "pass MMDetection's folder of configs: --configs DIR" in capsys.readouterr().err
