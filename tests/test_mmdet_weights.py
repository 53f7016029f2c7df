"""MMDetection's weights in the forms that its versions and hooks save; and refused before memory is taken."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from detzoo.config import ConfigError
from detzoo.interop.mmdet import importer
from detzoo.interop.mmdet.importer import MOST_PARAMETERS
from detzoo.pickles.machine import CheckpointError
from tests.mmdet_changes import changed, published, small


@pytest.fixture(scope="module")
def source(configs: Path) -> detzoo.Detector:
    return detzoo.from_mmdet(small(configs))


FORMS = (
    "state_dict",
    "model",
    "bare",
    "module",
    "average 2",
    "average 3",
    "half",
    "metadata",
    "optimizer",
    "old names",
)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_weights_files(configs: Path, source: detzoo.Detector, tmp_path: Path, form: str) -> None:
    state = published(source)
    ordered: Any = OrderedDict(state)
    ordered._metadata = OrderedDict({"": {"version": 1}, "backbone.conv1": {"version": 1}})
    wrapped = {f"module.{name}": value for name, value in state.items()}
    # the hook of version 2 keeps the last step's weights beside the averages, those of version 3 in a dict of their own
    beside = {f"ema_{name.replace('.', '_')}": torch.zeros_like(value) for name, value in state.items()}
    contents: dict[str, Any] = {
        "state_dict": {"state_dict": state, "meta": {}},
        "model": {"model": state, "epoch": 3},
        "bare": state,
        "module": {"state_dict": wrapped},
        "average 2": {"state_dict": {**state, **beside}},
        "average 3": {"state_dict": state, "ema_state_dict": {**wrapped, "steps": torch.tensor(3)}},
        "half": {
            "state_dict": {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        },
        "metadata": {"state_dict": ordered},
        "optimizer": {"state_dict": state, "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(2)}}}},
        "old names": {"state_dict": {name.replace("neck.", "neck.0.", 1): value for name, value in state.items()}},
    }
    torch.save(contents[form], tmp_path / "weights.pth")
    detector = detzoo.from_mmdet(small(configs), tmp_path / "weights.pth")
    assert not detector.training
    for name, value in source.state_dict().items():
        found = detector.state_dict()[name]
        assert found.dtype == value.dtype
        assert torch.equal(found, value.half().to(value.dtype) if form == "half" else value)


def test_deformable_convolutions_under_their_oldest_names(configs: Path) -> None:
    values = small(configs)
    values["model"]["backbone"] |= {"depth": 50, "dcn": {"type": "DCN"}, "stage_with_dcn": (False, False, False, True)}
    values["model"]["neck"]["in_channels"] = [256, 512, 1024, 2048]
    source = detzoo.from_mmdet(values)
    state = published(source)
    old = {name.replace("conv2.conv_offset.", "conv2_offset."): value for name, value in state.items()}
    assert old.keys() != state.keys()
    found = detzoo.from_mmdet(values, old).state_dict()
    assert all(torch.equal(found[name], value) for name, value in source.state_dict().items())


def test_weights_of_other_classes_are_called_so(
    configs: Path, source: detzoo.Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        importer, "build", lambda recipe: pytest.fail("a model was built, though its weights do not fit")
    )
    torch.save({"state_dict": published(source)}, tmp_path / "three.pth")
    five = small(configs, model__roi_head__bbox_head__num_classes=5, train_dataloader__dataset__metainfo={})
    with pytest.raises(
        CheckpointError,
        match=r"three\.pth: these weights tell 3 classes apart, but the model of the config 5; num_classes has to be",
    ):
        detzoo.from_mmdet(five, tmp_path / "three.pth", classes=list("abcde"))
    # of another shape as well: all that differs is listed
    five["model"]["roi_head"]["bbox_head"]["fc_out_channels"] = 8
    with pytest.raises(
        CheckpointError, match=r"(?s)three\.pth: these weights do not fit FasterRCNN:.*of another shape"
    ):
        detzoo.from_mmdet(five, tmp_path / "three.pth", classes=list("abcde"))


def test_a_model_that_is_too_large_is_never_built(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "build", lambda recipe: pytest.fail("the model was built"))
    assert MOST_PARAMETERS <= 1_000_000_000
    with pytest.raises(ConfigError, match=r"the model has 2\.76e\+09 parameters; up to 1e\+09 are built"):
        detzoo.from_mmdet(changed(configs, "retina.py", model__bbox_head__feat_channels=7000))
