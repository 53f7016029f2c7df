"""What half precision costs a trained detector: at most 0.3 points of AP."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

import detzoo
from detzoo.config import override
from detzoo.train.loop import train

Half = Literal["bf16", "fp16"]
MOST_LOST = 0.003
# a hundred updates on a few pictures of half size: enough to find a part of the objects in others
SHORT = (
    "model.input.short=64",
    "model.input.long=96",
    'data.train=[{"count":64}]',
    'data.val=[{"count":200}]',  # 700 objects: one that rounding moves across a threshold of IoU counts little
    "data.repeat=6",
    "data.flip=0",
    "data.workers=0",
    "schedule.epochs=1",
    "schedule.lr=2e-3",
    "schedule.warmup_steps=10",
    "schedule.evaluate_every=0",
)


# name, settings of its own, metrics, half precisions
MASKS = (
    "mask_rcnn_r18_fpn_shapes",
    ("model.input.multiple=16", "model.rpn.anchors.scales=[3.0]"),
    ("box_ap", "mask_ap"),
)
ONE_STAGE = ("atss_r18_fpn_shapes", (), ("box_ap",))
LEAST = 0.05  # less would not say that it has learned


@pytest.mark.parametrize(
    ("name", "own", "metrics", "precisions"),
    [
        pytest.param(*MASKS, ("bf16",), id="two stages and masks"),
        # a processor without units for fp16 takes minutes
        pytest.param(*MASKS, ("fp16",), id="two stages and masks, fp16", marks=pytest.mark.sweep),
        pytest.param(*ONE_STAGE, ("bf16", "fp16"), id="one stage", marks=pytest.mark.sweep),
    ],
)
def test_half_precision_costs_little_ap(
    name: str,
    own: tuple[str, ...],
    metrics: tuple[str, ...],
    precisions: tuple[Half, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("detzoo.precision.speedup", lambda dtype, kind: 1.0)
    recipe = override(detzoo.find(name), [*SHORT, *own])
    detector = train(recipe, out=tmp_path, device="cpu", progress=False).detector

    def measured(precision: Literal["fp32"] | Half) -> dict[str, float]:
        return detzoo.evaluate(detector, recipe.data, precision=precision, progress=False, workers=0).metrics

    whole = measured("fp32")
    for precision in precisions:
        half = measured(precision)
        for metric in metrics:
            assert whole[metric] > LEAST
            assert half[metric] > whole[metric] - MOST_LOST, (precision, metric)
