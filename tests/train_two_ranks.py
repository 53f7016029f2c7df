"""Started by torchrun in `test_train_ranks`: trains a tiny detector and leaves its weights and losses in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from detzoo.blocks.losses import alone, mean_over_ranks
from detzoo.recipes.settings import Schedule
from detzoo.train.distributed import join
from detzoo.train.fit import Validation, fit
from detzoo.train.loop import train
from detzoo.train.validation import validation_losses
from tests.train_fakes import MemoryLoader, TinyDetector, make_run


class WithClassifier(nn.Module):
    """A backbone whose last layer gets no gradient."""

    channels, strides = (4, 8), (8, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, 8, 2, 2)])
        self.classifier = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x := stage(x).relu() for stage in self.stages]


def main(out: Path, batch: int) -> None:
    with join("cpu") as ranks:
        torch.manual_seed(3 + ranks.rank)  # all must start from rank 0's weights
        detector = TinyDetector(dropout=0.0)
        loader = MemoryLoader(batch=batch, rank=ranks.rank, world=ranks.world)
        val = MemoryLoader(images=6, batch=3)
        shares = [batch for index, batch in enumerate(val) if index % ranks.world == ranks.rank]

        def validate(found: object) -> Validation:
            assert isinstance(found, TinyDetector)
            return Validation({"box_ap": 0.5}, validation_losses(found, shares, ranks))

        # three steps an epoch, so that its last update has one step only
        schedule = Schedule(epochs=2, batch=batch, warmup_steps=2, clip_norm=1.0, accumulate=2, ema=0.5, sync_bn=True)
        run = make_run(out, schedule, loader=loader, detector=detector, validate=validate, ranks=ranks, window=2)
        fit(run)
        assert mean_over_ranks(torch.tensor(ranks.rank)).item() == (ranks.world - 1) / 2
        assert mean_over_ranks(torch.tensor(0), floor=1).item() == 1 / ranks.world
        with alone():
            assert mean_over_ranks(torch.tensor(ranks.rank)).item() == ranks.rank
        torch.save(
            {"weights": detector.state_dict(), "history": run.state.history, "averaged": run.state.result.state_dict()},
            out / f"rank{ranks.rank}.pt",
        )
        # a real one: frozen batch norm, no random samples, losses normalized by what is matched, one size of canvas
        settings = ["schedule.epochs=1", f"schedule.batch={batch}", "data.workers=0", "schedule.evaluate_every=0"]
        settings += ["model.input.short=64", "model.input.long=96", "model.backbone.norm_eval=true"]
        settings += ["model.input.keep_ratio=false"]
        train("retinanet_r18_fpn_shapes", "shapes:8/0", out / "real", device="cpu", overrides=settings, progress=False)
    # runs of one process, each in a group of its own; of a backbone with a classifier that no loss depends on
    for name in ("own", "again"):
        torch.manual_seed(5)
        given = {"device": "cpu", "overrides": settings[:-2] + settings[-1:], "progress": False, "report": False}
        train("retinanet_r18_fpn_shapes", "shapes:12/0", out / name, backbone=WithClassifier(), **given)
    for turn in range(8):  # groups of one process do not take each other's for their own
        with join("cpu") as ranks:
            assert ranks.gather(ranks.rank + turn) == [turn + rank for rank in range(ranks.world)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
