"""Our weights file: what is saved comes back, and what is not ours is refused."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import detzoo
from detzoo.config import ConfigError, override
from detzoo.detector import Detector
from detzoo.recipes import files
from detzoo.recipes.files import CheckpointError
from tests.tiny import images, tiny

TINY = {
    "faster_rcnn_r18_fpn_shapes": [
        "model.neck.out_channels=16",
        "model.rpn.channels=16",
        "model.box_head.fc_channels=16",
    ],
    "mask_rcnn_r18_fpn_shapes": ["model.neck.out_channels=16", "model.rpn.channels=16", "model.mask_head.channels=16"],
    "retinanet_r18_fpn_shapes": ["model.neck.out_channels=16", "model.head.channels=16"],
}


def small(name: str = "retinanet_r18_fpn_shapes") -> Detector:
    torch.manual_seed(0)
    return detzoo.build(override(detzoo.find(name), TINY[name]), classes=["cat", "dog"])


def rewrite(path: Path, **changes: str | None) -> None:
    """Change the description in a file and leave its tensors."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    save_file(tensors, path, {key: value for key, value in metadata.items() if value is not None})


@pytest.mark.parametrize("name", TINY)
def test_what_is_saved_comes_back(name: str, tmp_path: Path):
    before = small(name).eval()
    after = detzoo.load(before.save(tmp_path / "a folder" / "model.safetensors"))
    assert not after.training
    assert after.classes == ("cat", "dog")
    assert after.recipe == before.recipe
    assert {k: v.dtype for k, v in after.state_dict().items()} == {k: v.dtype for k, v in before.state_dict().items()}
    assert all(bool((value == before.state_dict()[name]).all()) for name, value in after.state_dict().items())
    with torch.no_grad():
        expected, found = before.detect(images()), after.detect(images())
    assert bool((found.boxes == expected.boxes).all() and (found.scores == expected.scores).all())


def test_other_weights_can_be_stored(tmp_path: Path):
    detector = small()
    averaged = {name: torch.full_like(value, 3) for name, value in detector.state_dict().items()}
    loaded = files.rebuild(files.save(detector, tmp_path / "ema.safetensors", averaged))
    assert all(bool((value == 3).all()) for value in loaded.state_dict().values())


def test_a_detector_without_a_recipe_says_how_to_get_one(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no recipe; build it with detzoo\.build"):
        tiny(type(small())).save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: full (os error 28)")]
)
def test_a_full_disk_keeps_the_previous_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception):
    path = small().save(tmp_path / "model.safetensors")
    content = path.read_bytes()

    def fail(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(files, "save_file", fail)
    with pytest.raises(OSError, match=r"could not write .*model\.safetensors .*what was there is unchanged") as caught:
        small().save(path)
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_damaged(tmp_path: Path, kept: int):
    path = small().save(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or not a safetensors file"):
        detzoo.load(path)


def test_anything_else_is_refused(tmp_path: Path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pth")
    save_file({"weight": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.pth is damaged or not a safetensors file"):
        detzoo.load(tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="not one that detzoo wrote"):
        detzoo.load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "3"}, r"model\.safetensors has format version 3, this detzoo reads up to 2"),
        ({"version": None}, r"model\.safetensors is damaged: its description cannot be read"),
        ({"version": "one"}, r"is damaged: its description cannot be read"),
        ({"recipe": None}, r"is damaged: its description cannot be read"),
        ({"classes": "[cat"}, r"is damaged: its description cannot be read"),
        ({"classes": '["cat", "dog", "cow"]'}, r"model\.safetensors: the weights do not fit the recipe"),
    ],
)
def test_a_description_that_does_not_fit(tmp_path: Path, changes: dict[str, str | None], message: str):
    path = small().save(tmp_path / "model.safetensors")
    rewrite(path, **changes)
    with pytest.raises(CheckpointError, match=message):
        detzoo.load(path)


def test_unknown_settings_name_the_file_and_the_nearest(tmp_path: Path):
    detector = small()
    path = detector.save(tmp_path / "model.safetensors")
    assert detector.recipe is not None
    recipe = json.loads(detector.recipe.model_dump_json())
    recipe["schedule"]["epoch"] = recipe["schedule"].pop("epochs")
    rewrite(path, recipe=json.dumps(recipe))
    with pytest.raises(ConfigError, match=r"(?s)model\.safetensors: .*'epoch' is not a setting.*'epochs'"):
        detzoo.load(path)


def test_a_file_cannot_name_other_code(tmp_path: Path):
    detector = small()
    path = detector.save(tmp_path / "model.safetensors")
    assert detector.recipe is not None
    recipe = json.loads(detector.recipe.model_dump_json())
    recipe["model"]["method"] = "os.system"
    rewrite(path, recipe=json.dumps(recipe))
    with pytest.raises(ConfigError, match=r"os\.system"):
        detzoo.load(path)
