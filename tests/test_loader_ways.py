"""What the benchmark of the loader compares loads the same thing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import loader
from benchmarks.loader import OPENCV, Task, ways, write_files
from detzoo.types import Batch


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_all_ways_load_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: bool, flip: float) -> None:
    monkeypatch.setattr(loader, "SHORT", 75)
    monkeypatch.setattr(loader, "LONG", 120)
    monkeypatch.setattr(loader, "BATCH", 1)
    task = Task("png", 48, 64, masks)
    starts = ways(tmp_path, write_files(tmp_path, task, 3), task, flip)
    assert set(starts) == {"detzoo", "torchvision", OPENCV}
    found = {who: sorted(map(plain, start()), key=lambda one: float(one[1][0].sum())) for who, start in starts.items()}
    for mine, theirs, others in zip(found["detzoo"], found[OPENCV], found["torchvision"], strict=True):
        assert mine[0].shape == theirs[0].shape == others[0].shape
        assert (mine[0].int() - theirs[0].int()).abs().max() <= 1
        assert (mine[0].int() - others[0].int()).abs().max() <= 1  # upwards, smoothing changes nothing
        assert len(mine[1]) == loader.OBJECTS
        for other in (theirs, others):
            assert torch.allclose(mine[1], other[1], atol=1e-2)
            assert torch.equal(mine[2], other[2])


def plain(batch: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, boxes and labels of a batch of one picture."""
    if isinstance(batch, Batch):
        count = int(batch.targets.valid.sum())
        return batch.pixels[0], batch.targets.boxes[0, :count], batch.targets.labels[0, :count]
    pixels, (target,) = batch
    return pixels[0], target["boxes"].float(), target["labels"]
