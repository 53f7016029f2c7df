"""The names of a model's classes, from wherever a checkpoint or a config says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detzoo.config import ConfigError
from detzoo.interop.mmdet.section import Section
from detzoo.recipes.classes import CITYSCAPES_CLASSES, COCO_CLASSES, DEEPFASHION_CLASSES, VOC_CLASSES

# of the data sets that name their classes in MMDetection's code
_OF_DATASETS = {
    "CocoDataset": COCO_CLASSES,
    "VOCDataset": VOC_CLASSES,
    "CityscapesDataset": CITYSCAPES_CLASSES,
    "DeepFashionDataset": DEEPFASHION_CLASSES,
    "WIDERFaceDataset": ("face",),
}
_MEND = "pass classes=[...], in the order of the labels"
MOST = 1 << 16  # classes
_LONGEST = 200  # letters of a name


def class_names(config: Section, count: int | None, meta: Any, given: Sequence[str] | None) -> tuple[str, ...]:
    """The names of ``count`` classes: as given, as the checkpoint's ``meta`` or the config says, or as they are usual.

    None: the model tells none apart, and the names are only those of the data.

    Raises:
        ConfigError: ``count`` is none, or there are more or fewer names, or a name is there twice.
    """
    if count is not None and not 1 <= count <= MOST:
        raise ConfigError(f"the model has {count} classes")
    for where, names in _said(config, meta, given):
        if count is not None and len(names) != count:
            raise ConfigError(f"the model has {count} classes, but {where} names {len(names)}; {_MEND}")
        for name, times in Counter(names).items():
            if times > 1:
                raise ConfigError(f"{where} names {name!r} more than once; {_MEND}")
        return names
    for names in (_OF_DATASETS.get(kind) for kind in _kinds(config)):
        if names is not None and count in (None, len(names)):
            return names
    if count == len(COCO_CLASSES):
        return COCO_CLASSES
    return ("object",) if count in (None, 1) else tuple(f"class {index}" for index in range(count))


def _said(config: Section, meta: Any, given: Sequence[str] | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where class names are said, the most trusted first."""
    if given is not None:
        yield "classes", tuple(given)
    if isinstance(meta, Mapping):
        of_data = meta.get("dataset_meta")
        for holder in (of_data if isinstance(of_data, Mapping) else {}, meta):
            for key in ("classes", "CLASSES"):
                if names := _names(holder.get(key)):
                    yield f"the checkpoint's {key}", names
    for dataset in datasets(config):
        info = dataset.take("metainfo")
        for holder in (info if isinstance(info, dict) else {}, dataset.values):
            for key in ("classes", "CLASSES"):
                if names := _names(holder.get(key)):
                    yield f"{dataset.path}.{key}", names


def _names(value: Any) -> tuple[str, ...]:
    """Names from a list; one text is one name, unless it is the path of a file, which is not read."""
    if isinstance(value, str):
        value = () if value.endswith(".txt") else (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and len(one) <= _LONGEST for one in value):
        return ()
    return tuple(value)


def _kinds(config: Section) -> Iterator[str]:
    for dataset in datasets(config):
        if isinstance(dataset.values.get("type"), str):
            yield dataset.kind


def datasets(config: Section, splits: Sequence[str] = ("train", "test", "val")) -> Iterator[Section]:
    """The data sets of a config, wrappers with what is in them: of MMDetection 3, then of 2."""
    for split in splits:
        if isinstance(config.take(f"{split}_dataloader"), dict):
            yield from _with_inner(config.section(f"{split}_dataloader"), "dataset")
    if isinstance(config.take("data"), dict):
        for split in splits:
            yield from _with_inner(config.section("data"), split)


def _with_inner(owner: Section, name: str, depth: int = 8) -> Iterator[Section]:
    if not isinstance(owner.take(name), dict | list | tuple) or depth == 0:
        return
    for dataset in owner.nested(name):
        yield dataset
        yield from _with_inner(dataset, "dataset", depth - 1)
        yield from _with_inner(dataset, "datasets", depth - 1)


__all__ = ["class_names", "datasets"]
