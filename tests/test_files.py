"""Our weights file: what is saved comes back, and what is not ours is refused."""

from __future__ import annotations

import copy
import errno
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

import detzoo
from detzoo.backbones.resnet import ResNet
from detzoo.config import ConfigError, override
from detzoo.detector import Detector
from detzoo.recipes import files
from detzoo.recipes.blueprint import changes
from detzoo.recipes.files import CheckpointError
from detzoo.recipes.recipe import Recipe
from tests.tiny import detect, every_form, images, targets, tiny

TINY = {
    "faster_rcnn_r18_fpn_shapes": [
        "model.neck.out_channels=16",
        "model.rpn.channels=16",
        "model.box_head.fc_channels=16",
    ],
    "mask_rcnn_r18_fpn_shapes": ["model.neck.out_channels=16", "model.rpn.channels=16", "model.mask_head.channels=16"],
    "retinanet_r18_fpn_shapes": ["model.neck.out_channels=16", "model.head.channels=16"],
}


def small(name: str = "retinanet_r18_fpn_shapes") -> Any:
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


def test_weights_that_are_no_numbers_are_told(tmp_path: Path):
    detector = small()
    weights = {name: torch.full_like(value, torch.nan) for name, value in list(detector.state_dict().items())[:5]}
    file = files.save(detector, tmp_path / "spoilt.safetensors", {**detector.state_dict(), **weights})
    with pytest.warns(UserWarning, match=rf"spoilt\.safetensors: {', '.join(list(weights)[:3])} and 2 more hold NaN"):
        assert detzoo.load(file).state_dict().keys() == detector.state_dict().keys()


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


@pytest.mark.parametrize("name", ["a.pth", "a.PTH", "a.onnx", "a.pdparams", "a.pt2"])
def test_names_of_other_programs_files_are_not_written(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=rf"{name} would be taken for another program's file"):
        small().save(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_anything_else_is_refused(tmp_path: Path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "model.pth")
    save_file({"weight": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.pth is another toolbox's: detzoo\.from_mmdet"):
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


def swapped(detector: Detector) -> None:
    """Another backbone with the same tensors: of the same class, with another stride."""
    detector.backbone = ResNet(ResNet.Config(depth=18, strides=(1, 2, 2, 1)))


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "another backbone": (lambda one: setattr(one, "backbone", nn.Conv2d(3, 8, 3)), r"backbone: a Conv2d, not a ResNet"),
    "another stride": (swapped, r"backbone.*(strides|config)"),
    "a module of the same shapes": (lambda one: setattr(one.backbone, "bn1", Shifted(64)), r"backbone\.bn1: a Shifted"),
    "another head": (lambda one: setattr(one, "cls", nn.Conv2d(16, 27, 3, padding=1)), r"cls"),
    "a setting of a layer": (
        lambda one: setattr(one.cls, "padding", (0, 0)),
        r"cls: padding is \(0, 0\), not \(1, 1\)",
    ),
    "an attribute": (lambda one: setattr(one, "head", one.head.replace(nms=0.9)), r"the detector: head is"),
    "other classes": (lambda one: setattr(one, "classes", ("a", "b", "c")), r"cls: out_channels is 18, not 27"),
    "an extra layer": (lambda one: one.add_module("extra", nn.Linear(2, 2)), r"extra: a Linear that is new"),
    "an extra parameter": (lambda one: one.register_parameter("k", nn.Parameter(torch.ones(1))), r"k is left over"),
    "no head": (lambda one: one.cls_convs.pop(-1), r"cls_convs\.\d+: no \w+ any more"),
    "another mean": (lambda one: one.pixel_mean.zero_(), r"pixel_mean is not that"),
}


class Shifted(nn.BatchNorm2d):
    """Computes something else from the same tensors."""


@pytest.mark.parametrize("name", CHANGES)
def test_a_detector_that_its_recipe_would_not_build_is_not_saved(tmp_path: Path, name: str):
    detector = small()
    make, message = CHANGES[name]
    make(detector)
    with pytest.raises(ValueError, match=rf"no longer what its recipe .* builds.*{message}"):
        detector.save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


@every_form
def test_what_was_trained_and_used_is_still_what_its_recipe_builds(form: str):
    detector = tiny(form).train()
    recipe = Recipe.model_validate({"name": "tiny", "model": detector.config.model_dump()})
    detector(images(), targets(2, 0))
    with torch.no_grad():
        detect(detector.eval(), images())
    assert changes(detector, recipe, detector.state_dict(), ()) == []


def test_weights_that_are_not_the_detectors_are_not_saved(tmp_path: Path):
    detector = small()
    weights = detector.state_dict()
    del weights["cls.bias"]
    with pytest.raises(ValueError, match=r"cls\.bias is missing"):
        files.save(detector, tmp_path / "model.safetensors", weights)


def test_what_leaves_the_detector_as_it_is_can_be_saved(tmp_path: Path):
    detector = small().train().half()
    detector.backbone.requires_grad_(False)
    nn.SyncBatchNorm.convert_sync_batchnorm(detector)
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.01
    detector.classes = ("one", "two")
    detector.note = "mine"
    detector.cls.bias = detector.cls.bias  # pyright: ignore[reportAttributeAccessIssue] # a module's
    again = detzoo.load(copy.deepcopy(detector).save(tmp_path / "model.safetensors"))
    assert again.classes == ("one", "two")


def test_tensors_that_share_memory_are_saved_apart(tmp_path: Path):
    detector = small()
    detector.cls_convs = detector.reg_convs
    again: Any = detzoo.load(detector.save(tmp_path / "model.safetensors"))
    assert all(
        bool((a == b).all()) for a, b in zip(again.cls_convs.parameters(), again.reg_convs.parameters(), strict=True)
    )


class Backbone(nn.Module):
    """A program's own: the maps of a ResNet-18, made by three convolutions."""

    def __init__(self, like: Any) -> None:
        super().__init__()
        self.channels, self.strides = like.channels, like.strides
        widths = (3, *self.channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=8 if a == 3 else 2, padding=1) for a, b in pairwise(widths)
        )

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Maps ``[N, C, H, W]``, finest first."""
        maps = []
        for conv in self.convs:
            pixels = conv(pixels)
            maps.append(pixels)
        return maps


def test_a_part_of_the_programs_own_is_passed_in_again(tmp_path: Path):
    detector = small().eval()
    detector.backbone = Backbone(detector.backbone)
    path = detector.save(tmp_path / "model.safetensors", parts=["backbone"])
    with pytest.raises(CheckpointError, match=r"the program's own backbone.*parts=\{'backbone': module\}"):
        detzoo.load(path)
    again = detzoo.load(path, parts={"backbone": Backbone(detector.backbone)})
    with torch.no_grad():
        assert bool((again.detect(images()).scores == detector.detect(images()).scores).all())
    with pytest.raises(ValueError, match="no longer what its recipe"):
        again.save(path)
    with pytest.raises(CheckpointError, match="do not fit"):
        detzoo.load(path, parts={"backbone": nn.Conv2d(3, 8, 3)})
    with pytest.raises(CheckpointError, match=r"without parts.*neck"):
        detzoo.load(path, parts={"backbone": Backbone(detector.backbone), "neck": nn.Identity()})
    for part in ("backbon", "../x", ""):
        with pytest.raises(ValueError, match="there is no part"):
            again.save(path, parts=[part])


def test_parts_are_for_files():
    with pytest.raises(ValueError, match="parts are for a file"):
        detzoo.load("retinanet_r50_fpn_1x_coco", parts={"backbone": nn.Identity()})
