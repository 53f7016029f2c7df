"""Localization distillation: what a student learns from its teacher, and that the teacher is none of its parts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import detzoo
from detzoo.config import ConfigError
from detzoo.interop.mmdet.importer import read_config
from detzoo.methods.gfl import GFL
from detzoo.methods.ld import LD
from detzoo.methods.retinanet import RetinaNet
from detzoo.overwrite import OverwritesSource
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.settings import Data, Schedule, Split
from detzoo.train.checkpoint import read_state
from detzoo.train.loop import Trained
from tests.mmdet_files import write_all
from tests.tiny import CLASSES, images, targets, tiny, total


def ld() -> LD:
    return cast(LD, tiny(LD))


def test_the_loss_is_the_divergence_of_the_sides_of_chosen_cells():
    student = ld()
    assert student.teacher is not None
    teacher, batch, objects = student.teacher[0], images(), targets(3, 2)
    with torch.no_grad():
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
    assert float(losses["loss_ld"]) == pytest.approx(student.distillation.weight * total, rel=1e-3)
    assert {name: float(losses[name]) for name in alone} == {name: float(value) for name, value in alone.items()}


def test_the_teacher_is_no_part_and_stays_as_it_is():
    student = ld().train()
    assert student.teacher is not None
    teacher = student.teacher[0]
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    assert not any(module is teacher for module in student.modules())
    assert not {id(p) for p in teacher.parameters()} & {id(p) for _, p in student.trainable()}
    total(student(images(), targets(3, 2))).backward()
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


def train(out: Path, teacher: Path | str, **settings: Any) -> Trained:
    recipe = Recipe(
        name="student",
        model=cast(LD.Config, tiny(LD, input={"short": 96, "long": 128}).config),
        data=Data(kind="shapes", train=(Split(count=2),), workers=0),
        schedule=Schedule(epochs=1, batch=2, evaluate_every=0),
    )
    overrides = [f"model.distillation.teacher={teacher}"]
    return detzoo.train(recipe, out=out, device="cpu", overrides=overrides, progress=False, **settings)


def test_no_file_of_a_run_holds_the_teacher_and_going_on_needs_it(tmp_path: Path):
    teacher = Path(shutil.copy(cast(LD.Config, ld().config).distillation.teacher, tmp_path / "best.safetensors"))
    with pytest.raises(OverwritesSource, match=r"best\.safetensors is read here and would be overwritten"):
        train(tmp_path, teacher)
    done = train(tmp_path / "run", teacher)
    own = LD(cast(LD.Config, done.detector.config), done.detector.classes).state_dict().keys()
    assert read_state(done.out / "last.state")["weights"].keys() == own
    assert cast(LD, done.detector).teacher is not None
    teacher.unlink()
    loaded = detzoo.load(done.last)
    assert loaded.state_dict().keys() == own
    assert cast(LD, loaded).teacher is None
    with pytest.raises(FileNotFoundError, match=f"no weights file at {teacher}"):
        train(done.out, teacher, resume=True, epochs=2)


def test_a_teacher_named_from_where_the_run_began_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copy(cast(LD.Config, ld().config).distillation.teacher, tmp_path / "teacher.safetensors")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    done = train(tmp_path / "run", Path("teacher.safetensors"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    longer = train(done.out, Path("teacher.safetensors"), resume=True, epochs=2)
    assert (len(done.history), len(longer.history)) == (1, 2)
    assert cast(LD, longer.detector).teacher is not None


def test_a_teacher_without_weights_is_refused(tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"no weights were published for the teacher gfl_r18_fpn_shapes; train it first"
    ):
        train(tmp_path / "run", "gfl_r18_fpn_shapes")


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
