"""The smallest things that can be trained: a detector of one convolution and a loader over images in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from detzoo.atomic import write_atomically
from detzoo.blocks.layers import BatchNorm2d
from detzoo.blocks.losses import mean_over_ranks
from detzoo.detector import Detector, DetectorConfig
from detzoo.recipes.settings import Schedule
from detzoo.train.checkpoint import Files, State
from detzoo.train.distributed import Ranks
from detzoo.train.ema import Ema
from detzoo.train.fit import Run, Validation
from detzoo.train.log import Log
from detzoo.train.meter import Meter
from detzoo.train.optimizer import make_optimizer
from detzoo.train.progress import Display
from detzoo.types import Batch, Images, Targets

CPU = torch.device("cpu")
ONE = Ranks(0, 1, CPU)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No curves and no report, which take longer than the training here; no threads for tensors of a few bytes."""
    monkeypatch.setattr("detzoo.train.fit.draw_curves", lambda records, path: path)
    monkeypatch.setattr("detzoo.train.loop._report", lambda *_: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class TinyDetector(Detector):
    """One value per class and image says whether the class is there; normalized by objects, as a detector is."""

    def __init__(self, classes: Sequence[str] = ("a", "b"), norm: bool = True, dropout: float = 0.2) -> None:
        super().__init__(DetectorConfig(), classes)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = BatchNorm2d(4) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(4, len(self.classes))

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        features = self.dropout(self.norm(self.conv(images.pixels)).relu().mean((2, 3)))
        logits = self.head(features).float()
        wanted = torch.zeros_like(logits).scatter_add_(1, targets.labels, targets.valid.float()).clamp(max=1)
        count = mean_over_ranks(targets.valid.sum(), floor=1)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="sum") / count
        return {"loss_cls": loss, "loss_size": logits.square().mean() * 0.1, "acc": (logits > 0).float().mean()}

    def save(self, path: str | Path, *, parts: Sequence[str] = ()) -> Path:
        tensors = {name: value.detach().contiguous() for name, value in self.state_dict().items()}
        return write_atomically(path, lambda file: save_file(tensors, file))


class MemoryLoader:
    """Batches of noise images, shuffled by (seed, epoch); rank r takes every world-th batch part."""

    def __init__(self, images: int = 12, batch: int = 2, rank: int = 0, world: int = 1, classes: int = 2) -> None:
        generator = torch.Generator().manual_seed(7)
        self.pixels = torch.randint(0, 256, (images, 3, 8, 8), generator=generator, dtype=torch.uint8)
        self.counts = torch.randint(0, 4, (images,), generator=generator).tolist()
        self.labels = torch.randint(0, classes, (images, 4), generator=generator)
        self.batch, self.rank, self.world = batch, rank, world
        self.epoch = self.start = 0

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        return len(self.pixels) // (self.batch * self.world)

    def __iter__(self) -> Iterator[Batch]:
        order = torch.randperm(len(self.pixels), generator=torch.Generator().manual_seed(100 + self.epoch))
        for step in range(self.start, len(self)):
            first = (step * self.world + self.rank) * self.batch
            yield self.take(order[first : first + self.batch].tolist())

    def take(self, indices: list[int]) -> Batch:
        items = [
            {
                "boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(self.counts[i], 1),
                "labels": self.labels[i, : self.counts[i]],
            }
            for i in indices
        ]
        sizes = torch.full((len(indices), 2), 8)
        targets = Targets.pack(items, slots=4)
        return Batch(self.pixels[indices], sizes, targets, list(indices), sizes, [f"image{i}.png" for i in indices])


def make_run(
    out: Path,
    schedule: Schedule | None = None,
    *,
    loader: Any = None,
    detector: TinyDetector | None = None,
    validate: Callable[[Detector], Validation] | None = None,
    callbacks: Sequence[Callable[[Mapping[str, Any]], object]] = (),
    ranks: Ranks = ONE,
    done: tuple[int, int] | None = None,
    window: int = 1,
) -> Run:
    """A run that has not begun, the same each time."""
    schedule = schedule or Schedule(epochs=2, batch=2, warmup_steps=3, milestones=(2,))
    torch.manual_seed(3)
    detector = detector or TinyDetector()
    optimizer, _ = make_optimizer(detector, schedule, 0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=schedule.precision == "fp16")  # pyright: ignore[reportPrivateImportUsage] # its documented home
    ema = Ema(detector, schedule.ema) if schedule.ema else None
    files = Files(out)
    return Run(
        state=State(detector, optimizer, scaler, Meter(ranks), ema),
        schedule=schedule,
        loader=loader or MemoryLoader(),
        ranks=ranks,
        lr=0.1,
        files=files,
        display=Display(ranks.first, bar=False),
        log=Log(files.log, done) if ranks.first else None,
        validate=validate,
        callbacks=callbacks,
        window=window,
    )
