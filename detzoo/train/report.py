"""The page about a run: how it learned, what it learned from, and what its best weights find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from detzoo.data.dataset import Dataset
from detzoo.data.loader import make_loader
from detzoo.report.charts import line_chart
from detzoo.report.images import drawn
from detzoo.report.labels import label_statistics
from detzoo.train.curves import curves_of

BATCHES, IMAGES = 2, 4  # training batches that are shown, and at most so many images of each


def training_sections(records: Sequence[Mapping[str, Any]], dataset: Dataset, seed: int, ended: str) -> dict[str, Any]:
    """For the template: ``training`` and ``labels``.

    Args:
        records: from `detzoo.train.log.read_log`.
        dataset: what is learned from, varied as in training.
        seed: of its variation.
        ended: why training ended, as a sentence.
    """
    curves = [line_chart(title, "epoch", lines) for title, lines in curves_of(records).items()]
    training = {"curves": curves, "batches": _batches(dataset, seed), "ended": ended}
    return {"training": training, "labels": label_statistics(dataset.annotations, dataset.indices)}


def _batches(dataset: Dataset, seed: int) -> list[list[str]]:
    """The first training batches, as the network sees them: varied, resized, with what is to be learned drawn."""
    loader = make_loader(dataset, min(IMAGES, len(dataset)), train=True, workers=0, seed=seed)
    shown = []
    for batch in islice(loader, BATCHES):
        targets = batch.targets
        masks = None if targets.masks is None else targets.masks.dense()
        pictures = []
        for index, (height, width) in enumerate(batch.sizes.tolist()):
            pixels = batch.pixels[index, :, :height, :width].permute(1, 2, 0).contiguous().numpy()
            valid = targets.valid[index]
            learned = targets.boxes[index][valid].numpy(), targets.labels[index][valid].numpy()
            outlined = None if masks is None else masks[index][valid][:, :height, :width].numpy()
            pictures.append(drawn(pixels, *learned, dataset.classes, masks=outlined))
        shown.append(pictures)
    return shown


__all__ = ["training_sections"]
