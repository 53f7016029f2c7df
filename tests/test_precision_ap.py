"""What half precision costs a trained detector: at most 0.3 points of AP."""

from __future__ import annotations

from pathlib import Path

import pytest

import detzoo
from detzoo.config import override
from detzoo.train.loop import train

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


@pytest.mark.parametrize(
    ("name", "own", "metrics", "least"),
    [
        ("atss_r18_fpn_shapes", (), ("box_ap",), 0.05),
        (
            "mask_rcnn_r18_fpn_shapes",
            ("model.input.multiple=16", "model.rpn.anchors.scales=[3.0]"),
            ("box_ap", "mask_ap"),
            0.05,
        ),
    ],
    ids=["one stage", "two stages and masks"],
)
def test_half_precision_costs_little_ap(
    name: str,
    own: tuple[str, ...],
    metrics: tuple[str, ...],
    least: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("detzoo.precision.speedup", lambda dtype, kind: 1.0)
    recipe = override(detzoo.find(name), [*SHORT, *own])
    detector = train(recipe, out=tmp_path, device="cpu", progress=False).detector
    whole, bf16, fp16 = (
        detzoo.evaluate(detector, recipe.data, precision=one, progress=False, workers=0).metrics
        for one in ("fp32", "bf16", "fp16")
    )
    for metric in metrics:
        assert whole[metric] > least
        assert bf16[metric] > whole[metric] - MOST_LOST
        assert fp16[metric] > whole[metric] - MOST_LOST
