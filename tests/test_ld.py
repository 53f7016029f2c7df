"""Localization distillation: what a student learns from its teacher, and that the teacher is none of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch

import detzoo
from detzoo.config import ConfigError
from detzoo.interop.mmdet.importer import read_config
from detzoo.methods.gfl import GFL
from detzoo.methods.ld import LD
from detzoo.methods.retinanet import RetinaNet
from tests.mmdet_files import write_all
from tests.tiny import CLASSES, images, targets, tiny


def ld() -> LD:
    return cast(LD, tiny(LD))


def test_the_loss_is_the_divergence_of_the_sides_of_chosen_cells():
    student = ld()
    assert student.teacher is not None
    teacher, batch, objects = student.teacher[0], images(), targets(3, 2)
    with torch.no_grad():
        torch.nn.init.normal_(teacher.head.reg.weight, std=0.3)  # sure of something
        losses = student(batch, objects)
        shown = student.head.by_side(teacher.head(teacher.neck(teacher.backbone(batch.pixels))))
        told = student.head(student.neck(student.backbone(batch.pixels)))
        alone, weights = student.head.losses(told, objects)
        mine = student.head.by_side(told)
    total = 0.0
    for image, cell in weights.nonzero().tolist():
        for side in range(4):
            p = (shown[image, cell, side].double() / 10).softmax(-1)
            q = (mine[image, cell, side].double() / 10).softmax(-1)
            total += float(weights[image, cell]) * float((p * (p / q).log()).mean()) * 100 / 4
    assert total > 0
    assert float(losses["loss_ld"]) == pytest.approx(0.25 * total, rel=1e-3)
    assert {name: float(losses[name]) for name in alone} == {name: float(value) for name, value in alone.items()}


def test_the_teacher_is_no_part_and_stays_as_it_is(tmp_path: Path):
    student = ld().train()
    assert student.teacher is not None
    teacher = student.teacher[0]
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    assert not any(module is teacher for module in student.modules())
    assert not {id(p) for p in teacher.parameters()} & {id(p) for _, p in student.trainable()}
    torch.stack([*student(images(), targets(3, 2)).values()]).sum().backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert not any(module.training for module in teacher.modules())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    bare = LD(cast(LD.Config, student.config), CLASSES)
    assert bare.state_dict().keys() == student.state_dict().keys()


def test_the_teacher_moves_along():
    student = ld().double()
    assert student.teacher is not None
    assert {p.dtype for p in student.teacher[0].parameters()} == {torch.float64}
    student.learn_from(tiny(GFL))
    assert {p.dtype for p in student.teacher[0].parameters()} == {torch.float64}


def test_without_a_teacher_nothing_is_learned():
    student = LD(cast(LD.Config, ld().config), CLASSES)
    with pytest.raises(ValueError, match="LD learns from a teacher"):
        student(images(), targets(1, 1))
    with torch.no_grad():
        assert student.eval().detect(images()).boxes.dim() == 3


def test_teachers_that_do_not_fit_are_refused():
    student = ld()
    with pytest.raises(ValueError, match="is a GFL, not RetinaNet"):
        student.learn_from(tiny(RetinaNet))
    with pytest.raises(ValueError, match="the teacher tells 9 distances"):
        student.learn_from(tiny(GFL, head={"farthest": 8}))
    with pytest.raises(ValueError, match=r"model\.input has to be the same"):
        student.learn_from(tiny(GFL, input={"order": "bgr"}))


def test_a_teacher_that_is_not_there_stops_training(tmp_path: Path):
    recipe = detzoo.find("ld_r18_fpn_shapes")
    with pytest.raises(FileNotFoundError, match=r"no weights file at nowhere\.safetensors"):
        detzoo.train(
            recipe,
            out=tmp_path / "run",
            device="cpu",
            overrides=["model.distillation.teacher=nowhere.safetensors"],
            progress=False,
        )


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (
            {"teacher_config": "configs/gfl/unknown.py"},
            "model.teacher_config='configs/gfl/unknown.py' has no counterpart",
        ),
        ({"teacher_ckpt": "mine.pth"}, "model.teacher_ckpt='mine.pth' is not taken"),
        ({"eval_teacher": False}, "model.eval_teacher=False has no counterpart"),
    ],
)
def test_what_is_not_taken_of_a_config_is_noted(tmp_path: Path, change: dict[str, object], note: str):
    write_all(tmp_path)
    file = tmp_path / "changed.py"
    file.write_text(f"_base_ = 'ld.py'\nmodel = dict(**{change!r})\n")
    found = read_config(file)
    assert any(one.startswith(note) for one in found.notes), found.notes
    assert cast(LD.Config, found.recipe.model).distillation.teacher == "gfl_r101_fpn_mstrain_2x_coco"


def test_other_heads_are_refused(tmp_path: Path):
    write_all(tmp_path)
    file = tmp_path / "changed.py"
    file.write_text("_base_ = 'ld.py'\nmodel = dict(bbox_head=dict(type='PAAHead'))\n")
    with pytest.raises(ConfigError, match=r"bbox_head\.type='PAAHead'"):
        read_config(file)
