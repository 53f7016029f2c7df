"""Data and schedules of MMDetection's configs: what is taken over, and what a note names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detzoo.interop.mmdet.importer import Imported, read_config
from detzoo.recipes.augment import Flip, Resize
from detzoo.recipes.settings import ParamGroup, Schedule, Split
from tests.mmdet_changes import GONE, changed

LOADED = {"type": "LoadImageFromFile"}
OBJECTS = {"type": "LoadAnnotations", "with_bbox": True}


def split(root: str) -> dict[str, Any]:
    return {"type": "CocoDataset", "data_root": root, "ann_file": "all.json", "data_prefix": {"img": "pictures/"}}


def said(imported: Imported, *starts: str) -> bool:
    """Whether these are all the notes, by how they begin."""
    notes = imported.notes
    return len(notes) == len(starts) and all(note.startswith(start) for note, start in zip(notes, starts, strict=True))


def test_data_sets_below_several_roots(configs: Path) -> None:
    both = {"type": "ConcatDataset", "datasets": [split("data/a/"), split("data/b")]}
    data = read_config(
        changed(configs, train_dataloader__dataset=both, val_dataloader__dataset=split("data/v/"))
    ).recipe.data
    assert data.root == "data"
    assert data.train == tuple(Split(annotations=f"{one}/all.json", images=f"{one}/pictures") for one in "ab")
    assert data.val == (Split(annotations="v/all.json", images="v/pictures"),)
    far = read_config(changed(configs, val_dataloader__dataset=split("/other"))).recipe.data
    assert (far.root, far.val) == (".", (Split(annotations="/other/all.json", images="/other/pictures"),))
    assert far.train[0].images == "data/coco/train2017"
    one = read_config(changed(configs, val_dataloader__dataset=split("data/coco"))).recipe.data
    assert (one.root, one.val) == ("data/coco", (Split(annotations="all.json", images="pictures"),))


def test_roots_of_version_2(configs: Path) -> None:
    leaf = {"type": "CocoDataset", "img_prefix": "pictures/"}
    data = read_config(
        changed(
            configs,
            "retina_2.py",
            data__train={**leaf, "data_root": "data/mine/", "ann_file": "train.json"},
            data__val={**leaf, "data_root": "data/other/", "ann_file": "val.json"},
        )
    ).recipe.data
    assert data.root == "data"
    assert data.train == (Split(annotations="mine/train.json", images="mine/pictures"),)
    assert data.val == (Split(annotations="other/val.json", images="other/pictures"),)


@pytest.mark.parametrize(
    ("entry", "wanted", "note"),
    [
        (
            {"type": "MultiStepLR", "by_epoch": False, "milestones": [60000, 80000]},
            {"decay": "constant", "milestones": ()},
            "param_scheduler.0.by_epoch=False counts steps",
        ),
        (
            {"type": "MultiStepLR", "milestones": [3, 6, 7], "begin": 1, "end": 8},
            {"decay": "step", "milestones": (4, 7)},
            "",
        ),
        (
            {"type": "LinearLR", "by_epoch": True, "end": 5, "convert_to_iter_based": True},
            {"decay": "constant", "milestones": ()},
            "param_scheduler.0.by_epoch=True counts epochs",
        ),
        (
            {"type": "CosineAnnealingLR", "begin": 6, "end": 12, "T_max": 6, "eta_min": 0.001}
            | {"by_epoch": True, "convert_to_iter_based": True},
            {"decay": "cosine", "decay_start": 6.0, "final_lr": 0.05, "milestones": ()},
            "",
        ),
        (
            {"type": "CosineAnnealingLR", "T_max": 10, "eta_min_ratio": 0.1},
            {"decay": "cosine", "decay_start": 0.0, "decay_by": "epoch", "final_lr": 0.1, "milestones": ()},
            "param_scheduler.0.T_max=10 is over at epoch 10; here it falls to epoch 12",
        ),
        (
            {"type": "PolyLR", "power": 0.9, "eta_min": 0.0002, "end": 12, "convert_to_iter_based": True},
            {"decay": "poly", "decay_start": 0.0, "power": 0.9, "final_lr": 0.01, "milestones": ()},
            "",
        ),
    ],
)
def test_schedules_of_version_3(configs: Path, entry: dict[str, Any], wanted: dict[str, Any], note: str) -> None:
    imported = read_config(changed(configs, param_scheduler=[entry]))
    schedule = imported.recipe.schedule
    expected = Schedule(warmup_steps=0, **wanted)
    # 0.0002 / 0.02 is 0.01 but for the last binary digit
    assert schedule.final_lr == pytest.approx(expected.final_lr)
    assert schedule.replace(final_lr=expected.final_lr) == expected
    assert said(imported, note) if note else imported.notes == ()


def test_rates_of_version_2(configs: Path) -> None:
    lr_config = {"policy": "CosineAnnealing", "by_epoch": False, "min_lr": 0.0001}
    imported = read_config(changed(configs, "retina_2.py", lr_config=lr_config))
    found = imported.recipe.schedule
    assert (found.decay, found.decay_by, found.decay_start, found.warmup_steps) == ("cosine", "update", 0.0, 0)
    assert found.final_lr == pytest.approx(0.0001 / found.lr)
    steps = {"policy": "step", "by_epoch": False, "step": [60000, 80000]}
    imported = read_config(changed(configs, "retina_2.py", lr_config=steps))
    assert (imported.recipe.schedule.decay, imported.recipe.schedule.milestones) == ("constant", ())
    assert said(imported, "lr_config.by_epoch=False counts steps")


def test_added_gradients_of_version_2(configs: Path) -> None:
    hook = {"type": "GradientCumulativeOptimizerHook", "cumulative_iters": 4, "grad_clip": None}
    imported = read_config(changed(configs, "retina_2.py", optimizer_config=hook))
    assert (imported.recipe.schedule.accumulate, imported.notes) == (4, ())


def test_the_longest_key_wins_and_norms_decay_by_their_part(configs: Path) -> None:
    keys = {"neck": {"lr_mult": 0.5}, "head": {"lr_mult": 2.0}, "backbone.layer1": {"decay_mult": 0.0}}
    given = {"custom_keys": keys, "norm_decay_mult": 0.5}
    imported = read_config(changed(configs, optim_wrapper__paramwise_cfg=given))
    assert imported.recipe.schedule.groups == (
        ParamGroup(pattern=r"backbone\.layer1", weight_decay=0.0),
        ParamGroup(pattern="head", lr_scale=2.0),
        ParamGroup(pattern="neck", lr_scale=0.5),
        ParamGroup(of="norm", weight_decay=0.00005),
    )
    assert imported.notes == ()


def test_keys_that_do_the_same_stay_in_order(configs: Path) -> None:
    keys = {"neck": {"lr_mult": 0.1}, "rpn_head": {"lr_mult": 0.1}}
    schedule = read_config(changed(configs, optim_wrapper__paramwise_cfg={"custom_keys": keys})).recipe.schedule
    assert [group.pattern for group in schedule.groups] == ["neck", "rpn_head"]


@pytest.mark.parametrize(
    ("flips", "flip", "steps", "note"),
    [
        ([{"prob": 0.5, "direction": "vertical"}], 0.0, (), "{}.2.direction='vertical' has no counterpart"),
        ([{"prob": [0.25, 0.5], "direction": ["horizontal", "vertical"]}], 0.25, (Flip(),), "{}.2.direction="),
        ([{"prob": 0.5, "direction": ["horizontal", "vertical"]}], 0.25, (Flip(),), "{}.2.direction="),
        ([{"prob": "often"}], 0.5, (Flip(),), "{}.2.prob must be a number, not 'often'"),
        ([{"prob": 1.5}], 0.5, (Flip(),), "{}.2.prob is no probability"),
        ([{"prob": 0.5}, {"prob": 0.25}], 0.5, (Flip(), Flip(probability=0.25)), ""),
    ],
)
def test_flips(configs: Path, flips: list[dict[str, Any]], flip: float, steps: tuple[Flip, ...], note: str) -> None:
    pipeline = [LOADED, OBJECTS, *({"type": "RandomFlip", **one} for one in flips)]
    imported = read_config(changed(configs, train_dataloader__dataset__pipeline=pipeline))
    data = imported.recipe.data
    assert (data.root, data.flip, data.augment) == ("data/coco", flip, steps)
    assert len(data.val) == 1
    path = "train_dataloader.dataset.pipeline"
    assert said(imported, note.format(path)) if note else imported.notes == ()


def test_parts_and_samplers_are_named(configs: Path) -> None:
    sampler = {"type": "ClassAwareSampler", "num_sample_class": 1}
    imported = read_config(changed(configs, train_dataloader__sampler=sampler, train_dataloader__dataset__indices=100))
    assert said(imported, "train_dataloader.sampler.type='ClassAwareSampler'", "train_dataloader.dataset.indices=100")


def test_the_loader_of_version_2(configs: Path) -> None:
    own = {"samples_per_gpu": 8, "class_aware_sampler": {"num_sample_class": 1}}
    values = changed(configs, "faster_2.py", data__train_dataloader=own, data__samples_per_gpu=GONE)
    imported = read_config(values)
    assert (imported.recipe.schedule.batch, imported.recipe.data.workers) == (8, values["data"]["workers_per_gpu"])
    assert said(imported, "data.train_dataloader.class_aware_sampler=dict(...) has no counterpart")
    imported = read_config(changed(configs, "faster_2.py", data__train_dataloader={"workers_per_gpu": 0}))
    assert (imported.recipe.schedule.batch, imported.recipe.data.workers) == (2, 0)


def test_the_pipeline_of_a_wrapper_comes_after_that_of_its_data_set(configs: Path) -> None:
    steps = [{"type": "Mosaic"}, {"type": "RandomFlip", "prob": 0.5}, {"type": "Resize", "scale": (640, 640)}]
    wrapped = {
        "type": "MultiImageMixDataset",
        "dataset": {**split("data/a"), "pipeline": [LOADED, OBJECTS]},
        "pipeline": steps,
    }
    imported = read_config(changed(configs, train_dataloader__dataset=wrapped, val_dataloader=GONE))
    data = imported.recipe.data
    assert (data.flip, data.sizes) == (0.5, ())
    assert data.augment == (Flip(), Resize(sizes=((640, 640),), keep_ratio=False))
    path = "train_dataloader.dataset"
    assert said(imported, f"{path}.type='MultiImageMixDataset'", f"{path}.pipeline.0.type='Mosaic'")


@pytest.mark.parametrize(("mode", "metric"), [("area", "voc"), ("11points", "voc07")])
def test_precision_of_voc(configs: Path, mode: str, metric: str) -> None:
    evaluator = {"type": "VOCMetric", "metric": "mAP", "eval_mode": mode}
    values = changed(configs, val_evaluator=evaluator, train_dataloader__dataset__type="VOCDataset")
    values["model"]["roi_head"]["bbox_head"]["num_classes"] = 20
    assert read_config(values).recipe.data.metric == metric
