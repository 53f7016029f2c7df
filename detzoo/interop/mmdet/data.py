"""The data that a model was trained on. Only training and evaluation use it: what has no counterpart becomes a note."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from detzoo.detector import Input
from detzoo.interop.kinds import kind_name
from detzoo.interop.mmdet.augment import read_augment
from detzoo.interop.section import Section
from detzoo.recipes.settings import Data, Split

# data sets in COCO's format
_LVIS = ("LVISDataset", "LVISV05Dataset", "LVISV1Dataset")
_COCO = ("CocoDataset", "CityscapesDataset", "DeepFashionDataset", *_LVIS)
_VOC = ("VOCDataset", "XMLDataset", "WIDERFaceDataset")
_SAMPLERS = ("DefaultSampler", "InfiniteSampler")  # every image equally often, in random order


def read_data(config: Section, input: Input) -> Data:
    """Annotations, folders and variation of the training data; ``input`` is the size of the tests.

    Raises:
        ConfigError: a setting is malformed.
    """
    settings: dict[str, Any] = {"root": "."}
    if isinstance(config.take("train_dataloader"), dict):
        loader = config.section("train_dataloader", training=True)
        settings["workers"] = loader.whole("num_workers", 2)
        settings["group_by_aspect"] = loader.has("batch_sampler")
        _look_at_sampler(loader)
        name = "dataset"
        train = list(_leaves(loader, name, settings))
        val = list(_other(config, ("val_dataloader", "test_dataloader"), "dataset"))
    elif isinstance(config.take("data"), dict):
        loader = config.section("data", training=True)
        settings["workers"] = loader_of_2(loader, "workers_per_gpu").whole("workers_per_gpu", 2)
        _look_at_loader_of_2(loader)
        name = "train"
        train = list(_leaves(loader, name, settings))
        val = list(_leaves(loader, "val" if loader.has("val") else "test", {}))
    else:
        return Data()
    if not train:
        return Data()
    if train[0].has("proposal_file"):
        train[0].noted("proposal_file", "is another format; detzoo evaluate writes the .safetensors that is read here")
    settings |= _described(config, train[0])
    for leaf in train[1:]:
        if (leaf.kind in _VOC) != (train[0].kind in _VOC):
            leaf.noted("type", f"is read like the first one, {train[0].kind}")
    roots = [_root(config, leaf, settings["root"]) for leaf in (*train, *val)]
    settings["root"] = root = _common(roots)
    splits = [tuple(_splits(leaf, own, root)) for leaf, own in zip((*train, *val), roots, strict=True)]
    settings["train"] = tuple(split for part in splits[: len(train)] for split in part)
    settings["val"] = tuple(split for part in splits[len(train) :] for split in part)
    settings |= read_augment(_pipelines(loader, name) or [loader], input)
    return Data.model_validate(settings)


def _look_at_sampler(loader: Section) -> None:
    """Note images that do not come equally often, in random order."""
    if not isinstance(loader.take("sampler"), dict):
        return
    given = loader.section("sampler")
    kind = given.take("type")
    if isinstance(kind, str) and kind_name(kind) not in _SAMPLERS:
        given.noted("type", "has no counterpart; every image comes equally often")
    given.fixed("shuffle", True)


def loader_of_2(data: Section, name: str) -> Section:
    """Which section of version 2 has a setting of the loader: ``data.train_dataloader``, or else ``data``."""
    own = data.section("train_dataloader", {})
    return own if own.has(name) else data


def _look_at_loader_of_2(data: Section) -> None:
    own = data.section("train_dataloader", {})
    if own.has("class_aware_sampler"):
        own.noted("class_aware_sampler", "has no counterpart; every image comes equally often")
    own.fixed("shuffle", True)


def _pipelines(owner: Section, name: str, depth: int = 8) -> list[Section]:
    """What has a pipeline of the first data set and the wrappers around it, from the inside out."""
    first = owner.nested(name)[:1] if depth and owner.has(name) else []
    around = [one for one in first if one.has("pipeline")]
    return [inner for one in first for inner in _pipelines(one, _inner(one), depth - 1)] + around


def _inner(dataset: Section) -> str:
    """Under which name a wrapper holds others."""
    return "datasets" if dataset.has("datasets") else "dataset"


def _other(config: Section, owners: tuple[str, ...], name: str) -> Iterator[Section]:
    for owner in owners:
        if isinstance(config.take(owner), dict):
            yield from _leaves(config.section(owner, training=True), name, {})
            return


def _leaves(owner: Section, name: str, settings: dict[str, Any], depth: int = 8) -> Iterator[Section]:
    """The data sets inside of wrappers; how often their images come goes into ``settings``."""
    if not owner.has(name) or depth == 0:
        return
    for dataset in owner.nested(name):
        kind = dataset.kind
        if kind == "RepeatDataset":
            settings["repeat"] = settings.get("repeat", 1) * dataset.whole("times")
        elif kind == "ClassBalancedDataset":
            settings["oversample"] = dataset.number("oversample_thr")
            dataset.ignore("filter_empty_gt")  # of images without objects, which come once
        elif kind not in (*_COCO, *_VOC, "ConcatDataset"):
            dataset.differs("type", "has no counterpart")
        inner = _inner(dataset)
        if dataset.has(inner):
            yield from _leaves(dataset, inner, settings, depth - 1)
        else:
            yield dataset


def _described(config: Section, leaf: Section) -> dict[str, Any]:
    """Format, folder, metric and what is left out."""
    voc = leaf.kind in _VOC
    of_voc = "voc" if _by_area(config) else "voc07"
    metric = of_voc if voc else "lvis" if leaf.kind in _LVIS else "coco"
    settings: dict[str, Any] = {"kind": "voc" if voc else "coco", "metric": metric}
    root = leaf.take("data_root", config.take("data_root"))
    if isinstance(root, str) and root:
        settings["root"] = str(PurePosixPath(root))
    old = not leaf.has("data_prefix") and not leaf.has("filter_cfg")
    with leaf.section("filter_cfg", {}) as given:
        settings["keep_empty"] = not given.flag("filter_empty_gt", False)
        settings["min_box"] = given.number("bbox_min_size", 1.0)
        given.ignore("min_size")  # leaves out pictures smaller than 32 pixels, of which the data sets have none
    if old:
        settings["keep_empty"] = not leaf.flag("filter_empty_gt", True)
        settings["min_box"] = leaf.number("min_size", 1.0)
    return settings


def _by_area(config: Section) -> bool:
    """Whether the precision of VOC is the area below the curve, and not that at 11 recalls."""
    given = config.take("val_evaluator", config.take("test_evaluator"))
    each = given if isinstance(given, list | tuple) else [given]
    return any(isinstance(one, dict) and one.get("eval_mode") == "area" for one in each)


def _root(config: Section, leaf: Section, first: str) -> str:
    """The folder that a data set's paths are below: its own, the config's, or the ``first`` one's if they begin so."""
    root, file = leaf.take("data_root", config.take("data_root")), leaf.take("ann_file")
    if isinstance(root, str) and root:
        return str(PurePosixPath(root))
    return first if isinstance(file, str) and PurePosixPath(file).is_relative_to(first) else "."


def _common(roots: Sequence[str]) -> str:
    """The innermost folder that all of them lie in; absolute and relative ones have none in common."""
    if len({posixpath.isabs(root) for root in roots}) > 1:
        return "."
    return posixpath.commonpath(roots) or "."


def _splits(leaf: Section, own: str, root: str) -> Iterator[Split]:
    """Annotation file, folders of images and class maps, and proposals, below the ``root`` that all data sets have.

    Paths of the data set are below its ``own`` root.
    """
    if leaf.has("indices"):
        leaf.noted("indices", "has no counterpart; all images are used")
    given = leaf.take("proposal_file")
    proposals = ""
    if isinstance(given, str) and given:
        proposals = _below(root, _joined(own, given.removesuffix(".pkl") + ".safetensors"))
    files, folders = leaf.take("ann_file", ""), leaf.take("img_prefix", "")
    prefix, maps = leaf.take("data_prefix", {}), leaf.take("seg_prefix", "")
    if isinstance(prefix, dict) and prefix:
        folders = next((prefix[name] for name in ("img", "sub_data_root", "img_path") if name in prefix), "")
        maps = prefix.get("seg", "")
    semantic = _below(root, _joined(own, maps)) if isinstance(maps, str) and maps else ""
    files = files if isinstance(files, list | tuple) else [files]
    folders = folders if isinstance(folders, list | tuple) else [folders] * len(files)
    for file, folder in zip(files, folders, strict=False):
        if isinstance(file, str) and isinstance(folder, str):
            annotations = _below(root, _joined(own, file)) if file else ""
            where = {"annotations": annotations, "images": _below(root, _joined(own, folder))}
            yield Split.model_validate({**where, "proposals": proposals, "semantic": semantic})


def _joined(root: str, path: str) -> str:
    """A path below a root, unless it begins with it."""
    return path if PurePosixPath(path).is_relative_to(root) else str(PurePosixPath(root, path))


def _below(root: str, path: str) -> str:
    """A path without the root that it begins with, and without a slash at the end; nothing for the root itself."""
    found = PurePosixPath(path)
    below = str(found.relative_to(root) if found.is_relative_to(root) and root != "." else found)
    return "" if below == "." else below


__all__ = ["loader_of_2", "read_data"]
