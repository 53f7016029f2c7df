"""The names of a model's classes, from wherever a config says them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from detzoo.interop.classes import by_caller, chosen, in_file
from detzoo.interop.paddle.parts import Parts
from detzoo.recipes.classes import COCO_CLASSES, VOC_CLASSES

_DATASETS = ("TrainDataset", "EvalDataset", "TestDataset")
_READERS = ("TrainReader", "EvalReader", "TestReader")  # which hold the data set in static configs
# of the data sets that name their classes in PaddleDetection's code
_OF_DATASETS = {"COCO": COCO_CLASSES, "VOC": VOC_CLASSES, "WIDERFACE": ("face",)}
_BESIDE = "label_list.txt"


def class_names(parts: Parts, given: Sequence[str] | None, path: Path | None) -> tuple[tuple[str, ...], str]:
    """The names of a model's classes, and why they are made up; nothing where they are not.

    Args:
        parts: the config.
        given: by the caller.
        path: of the config.

    Raises:
        ConfigError: there are more or fewer names than the model has classes, or a name is there twice.
    """
    return chosen(parts.classes, by_caller(given), _likely(parts, path))


def _likely(parts: Parts, path: Path | None) -> Iterator[tuple[str, ...]]:
    """Names that count where there are as many as classes: of a file beside the data, and of the data set."""
    metric = parts.top.take("metric", "")
    # of pictures without annotations the second is no list of pictures, but of names
    asked = [(name, "label_list") for name in (*_DATASETS, *_READERS)] + [("TestDataset", "anno_path")]
    for name, setting in asked:
        data = parts.top.take(name, {})
        data = data.get("dataset", data) if isinstance(data, dict) else {}
        if not isinstance(data, dict) or path is None:
            continue
        folder, file = str(data.get("dataset_dir") or ""), data.get(setting)
        if isinstance(file, str) and file.endswith(".txt"):
            yield in_file(path.parent / folder / file)
            yield in_file(Path(folder) / file)
    if path is not None:
        yield in_file(path.parent / _BESIDE)
    if isinstance(metric, str):
        yield _OF_DATASETS.get(metric.upper(), ())


__all__ = ["class_names"]
