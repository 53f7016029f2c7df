"""Configs and checkpoints in the form of MMDetection 1.x become the models that its version 2 reads as legacy ones."""

from __future__ import annotations

import copy
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import detzoo
from detzoo.config import ConfigError
from detzoo.interop.mmdet.configs import read_file
from detzoo.interop.mmdet.importer import DetectionsDiffer, Differs, UnnamedClasses
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes import zoo
from detzoo.recipes.version_1 import upgraded
from tests.mmdet_files import write_all
from tests.test_mmdet_checkpoints import CLASSES, equal, published, small
from tests.tiny import images, tiny

SSD_HEAD = re.compile(r"^bbox_head\.(cls|reg)_convs\.(\d+)\.0\.(weight|bias)$")
MODELS = ("faster_2.py", "mask_2.py", "cascade.py", "cascade_mask.py", "retina_2.py", "ssd_2.py", "fcos.py")


def legacy(values: dict[str, Any]) -> dict[str, Any]:
    """The config of version 2 or 3 of a model that version 1 trained."""
    if values.get("type") in ("AnchorGenerator", "SSDAnchorGenerator"):
        values = {**values, "type": f"Legacy{values['type']}"}
        if values["type"] == "LegacyAnchorGenerator":
            values["center_offset"] = 0.5
    if values.get("type") == "DeltaXYWHBBoxCoder":
        values = {**values, "type": "LegacyDeltaXYWHBBoxCoder"}
    if values.get("type") == "RoIAlign":
        values = {**values, "aligned": False, "sampling_ratio": 2}
    if "score_thr" in values:  # random weights are not sure of anything
        values = {**values, "score_thr": 0.001}
    return {name: _each(value, legacy) for name, value in values.items()}


def first(values: dict[str, Any]) -> dict[str, Any]:
    """The config of version 1 of a `legacy` one."""
    values = copy.deepcopy(values)
    model = values["model"]
    roi = model.pop("roi_head", {})
    roi.pop("type", None)
    weights = roi.pop("stage_loss_weights", None)
    model |= roi
    for part in (model.get(name) for name in ("rpn_head", "bbox_head", "mask_head")):
        for head in part if isinstance(part, list) else [part] if part else []:
            _first_head(head)
    for name in ("bbox_roi_extractor", "mask_roi_extractor"):
        if name in model:
            layer = model[name]["roi_layer"]
            del layer["aligned"]
            layer["out_size"], layer["sample_num"] = layer.pop("output_size"), layer.pop("sampling_ratio")
    for name in ("train_cfg", "test_cfg"):
        if name in model:
            values[name] = model.pop(name)
    if weights is not None:
        values["train_cfg"]["stage_loss_weights"] = weights
    if "data" in values:
        values["data"]["imgs_per_gpu"] = values["data"].pop("samples_per_gpu", 2)
    else:  # nothing in FCOS's model says so
        values["data"] = {"imgs_per_gpu": 2}
    return values


def _first_head(head: dict[str, Any]) -> None:
    anchors, coder = head.pop("anchor_generator", {}), head.pop("bbox_coder", {})
    for name in ("scales", "ratios", "strides"):
        if name in anchors:
            head[f"anchor_{name}"] = anchors[name]
    for name in ("octave_base_scale", "scales_per_octave", "basesize_ratio_range", "input_size"):
        if name in anchors:
            head[name] = anchors[name]
    for name in ("target_means", "target_stds"):
        if name in coder:
            head[name] = coder[name]
    if head["type"] == "Shared2FCBBoxHead":
        head |= {"type": "SharedFCBBoxHead", "num_fcs": 2}
    if "num_classes" in head:
        head["num_classes"] += 1


def first_weights(state: dict[str, Tensor], classes: int) -> dict[str, Tensor]:
    """Weights of version 1: the background is class 0 of every softmax, and has a box and a mask of its own."""
    found = {}
    for name, value in state.items():
        layer = name.split(".")[-2]
        if layer == "fc_cls":
            value = torch.cat([value[-1:], value[:-1]])
        elif layer == "fc_reg" and len(value) == 4 * classes:
            value = torch.cat([torch.full_like(value[:4], 7.0), value])
        elif layer == "conv_logits":
            value = torch.cat([torch.full_like(value[:1], 7.0), value])
        elif found_in := SSD_HEAD.match(name):
            if found_in[1] == "cls":  # default box by default box
                each = value.unflatten(0, (-1, classes + 1))
                value = torch.cat([each[:, -1:], each[:, :-1]], 1).flatten(0, 1)
            name = SSD_HEAD.sub(r"bbox_head.\1_convs.\2.\3", name)
        name = re.sub(r"^bbox_head\.conv_", "bbox_head.fcos_", name.removeprefix("roi_head."))
        found[name] = value
    return older(found)


def older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as of before MMDetection 2.14, where an SSD's extra layers were the backbone's."""
    extra = {re.sub(r"^neck\.extra_layers\.(\d+)\.(\d)\.conv\.", _extra, name): state[name] for name in state}
    return {re.sub(r"^neck\.l2_norm\.", "backbone.l2_norm.", name): value for name, value in extra.items()}


def _extra(found: re.Match[str]) -> str:
    return f"backbone.extra.{2 * int(found[1]) + int(found[2])}."


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, dict) else value


@pytest.mark.parametrize("file", MODELS)
def test_a_model_of_version_1_is_the_legacy_one(tmp_path: Path, file: str) -> None:
    write_all(tmp_path)
    values = legacy(small(read_file(tmp_path / file)))
    old = first(values)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (UnnamedClasses, Differs))
        source = detzoo.from_mmdet(values).eval()
    text = "".join(f"{name} = {value!r}\n" for name, value in old.items())
    path = tmp_path / "latest.pth"
    meta = {"mmdet_version": "1.2.0", "CLASSES": CLASSES, "config": text}
    torch.save({"meta": meta, "state_dict": first_weights(published(source, file), len(CLASSES))}, path)
    with pytest.warns(DetectionsDiffer, match="model of version 1") as told:
        detector = detzoo.from_mmdet(path)
    assert {one.category for one in told} <= {DetectionsDiffer, Differs}
    assert equal(detector, source)
    batch = images()
    with torch.no_grad():
        ours, wanted = detector.detect(batch), source.detect(batch)
    assert wanted.valid.any()
    for name in ("boxes", "scores", "labels", "valid", "crops"):
        a, b = getattr(ours, name), getattr(wanted, name)
        assert a is b is None or torch.equal(a, b), name


def test_upgraded_weights_stay_as_they_are() -> None:
    model = tiny(MaskRCNN)
    state = published(model, "mask.py")
    assert all(torch.equal(value, state[name]) for name, value in upgraded(state, model).items())
    with_neck = {"neck.extra_layers.0.0.conv.weight": torch.rand(2), "bbox_head.cls_convs.0.0.bias": torch.rand(16)}
    assert torch.equal(upgraded(with_neck, tiny(SSD))["bbox_head.cls_convs.0.0.bias"], with_neck.popitem()[1])


def test_the_oldest_towers_had_bare_convolutions() -> None:
    model = tiny(RetinaNet)
    state = published(model, "retina.py")
    bare = {re.sub(r"(bbox_head\.\w+_convs\.\d+)\.conv\.", r"\1.", name): value for name, value in state.items()}
    assert bare.keys() != state.keys()
    assert upgraded(bare, model).keys() == state.keys()


def test_it_is_asked_for_what_cannot_be_known(tmp_path: Path) -> None:
    """An SSD's weights of version 1 beside a config of version 2: their classes may be in the new order, or not."""
    write_all(tmp_path)
    values = legacy(small(read_file(tmp_path / "ssd_2.py")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (UnnamedClasses, Differs))
        source = detzoo.from_mmdet(values)
    content = {
        "meta": {"mmdet_version": "1.2.0", "CLASSES": CLASSES},
        "state_dict": older(published(source, "ssd_2.py")),
    }
    torch.save(content, tmp_path / "old.pth")
    with pytest.raises(CheckpointError, match="pass its own config of version 1"):
        detzoo.from_mmdet(values, tmp_path / "old.pth")
    # a second stage's names tell
    mask = legacy(small(read_file(tmp_path / "mask_2.py")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (UnnamedClasses, Differs))
        source = detzoo.from_mmdet(mask)
    torch.save(content | {"state_dict": published(source, "mask_2.py")}, tmp_path / "new.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Differs)
        assert equal(detzoo.from_mmdet(mask, tmp_path / "new.pth"), source)


@pytest.mark.parametrize("kind", ["HybridTaskCascade", "GridRCNN"])
def test_other_models_of_version_1_are_named(tmp_path: Path, kind: str) -> None:
    write_all(tmp_path)
    values = first(legacy(read_file(tmp_path / "faster_2.py")))
    values["model"]["type"] = kind
    with pytest.raises(ConfigError, match=f"{kind}' of version 1 cannot be imported"):
        detzoo.from_mmdet(values)


def test_published_weights_of_legacy_rows_are_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = detzoo.find("ssd300_coco_v1")
    torch.manual_seed(0)
    source = detzoo.build(recipe).eval()
    path = tmp_path / "ssd.pth"
    torch.save({"state_dict": first_weights(published(source, "ssd.py"), len(source.classes))}, path)
    monkeypatch.setattr(zoo, "fetch", lambda *_: path)
    assert equal(detzoo.load("ssd300_coco_v1"), source)
