"""The names of a model's classes, from wherever a checkpoint or a config says them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from detzoo.config import ConfigError
from detzoo.interop.classes import by_caller, chosen, in_file
from detzoo.interop.section import Section
from detzoo.recipes.classes import (
    CITYSCAPES_CLASSES,
    COCO_CLASSES,
    DEEPFASHION_CLASSES,
    LVIS_V05_CLASSES,
    LVIS_V1_CLASSES,
    VOC_CLASSES,
)

# of the data sets that name their classes in MMDetection's code
_OF_DATASETS = {
    "CocoDataset": COCO_CLASSES,
    "VOCDataset": VOC_CLASSES,
    "CityscapesDataset": CITYSCAPES_CLASSES,
    "DeepFashionDataset": DEEPFASHION_CLASSES,
    "LVISDataset": LVIS_V05_CLASSES,
    "LVISV05Dataset": LVIS_V05_CLASSES,
    "LVISV1Dataset": LVIS_V1_CLASSES,
    "WIDERFaceDataset": ("face",),
}


_TOP = ("classes", "CLASSES", "class_names", "class_name", "metainfo")  # beside the data sets
_BESIDE = ("classes.txt", "class_names.txt", "labels.txt", "names.txt")  # beside the config
_LONGEST = 200  # letters of a name


def class_names(
    config: Section, count: int | None, meta: Any, given: Sequence[str] | None, folder: Path | None = None
) -> tuple[tuple[str, ...], str]:
    """The names of ``count`` classes: as given, as the checkpoint's ``meta`` or the config says, or as its data set.

    Args:
        config: all of it.
        count: how many the model tells apart; None: it tells none apart, and the names are only those of the data.
        meta: what the checkpoint says of itself.
        given: by the caller.
        folder: of the config, where a file of names may be; None: there is none.

    Returns:
        The names, and why they are made up; nothing where they are not.

    Raises:
        ConfigError: ``count`` is none, or there are more or fewer names, or a name is there twice.
    """
    unread: list[ConfigError] = []
    said = ((where, _as_lvis(names)) for where, names in _said(config, meta, given, folder, unread))
    return chosen(count, said, _likely(config, folder), unread)


def _as_lvis(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of LVIS's classes as its annotation files have them: MMDetection has mended the spelling of one."""
    spelled = tuple(name.replace("(stereo_", "(stero_") for name in names)
    return spelled if spelled in (LVIS_V05_CLASSES, LVIS_V1_CLASSES) else names


def _said(
    config: Section, meta: Any, given: Sequence[str] | None, folder: Path | None, unread: list[ConfigError]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where class names are said, the most trusted first; what of a config is unknown goes into ``unread``."""
    yield from by_caller(given)
    if isinstance(meta, Mapping):
        of_data = meta.get("dataset_meta")
        for holder in (of_data if isinstance(of_data, Mapping) else {}, meta):
            for key in ("classes", "CLASSES"):
                if names := _names(holder.get(key), None):
                    yield f"the checkpoint's {key}", names
    for split in ("train", "test", "val"):
        try:
            for dataset in datasets(config, (split,)):
                info = dataset.take("metainfo")
                for holder in (info if isinstance(info, dict) else {}, dataset.values):
                    for key in ("classes", "CLASSES"):
                        if names := _names(holder.get(key), folder):
                            yield f"{dataset.path}.{key}", names
        except ConfigError as error:
            unread.append(error)


def _likely(config: Section, folder: Path | None) -> Iterator[tuple[str, ...]]:
    """Names that count where there are as many as classes: of the kind of data set, beside the data, in a file."""
    with suppress(ConfigError):  # data sets that are unknown, which `_said` has told
        yield from (_OF_DATASETS[kind] for kind in _kinds(config) if kind in _OF_DATASETS)
    for name in _TOP:
        try:
            value = config.take(name)
            holders = [value.get("classes"), value.get("CLASSES")] if isinstance(value, dict) else [value]
        except ConfigError:
            continue  # a name that says nothing for sure
        yield from (names for one in holders if (names := _names(one, folder)))
    if folder is not None:
        yield from (names for one in _BESIDE if (names := in_file(folder / one)))


def _names(value: Any, folder: Path | None) -> tuple[str, ...]:
    """Names from a list; one text is one name, or the path of a file of names."""
    if isinstance(value, str):
        if not value.endswith((".txt", ".names")):
            value = (value,)
        elif folder is None:
            value = ()
        else:
            value = in_file(folder / value) or in_file(Path(value))
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
