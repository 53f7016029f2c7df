"""The data that a model was trained on. Only training and evaluation use it: what has no counterpart becomes a note."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet.augment import read_augment
from detzoo.interop.section import Section
from detzoo.recipes.settings import Data, Split

# data sets in COCO's format
_LVIS = ("LVISDataset", "LVISV05Dataset", "LVISV1Dataset")
_COCO = ("CocoDataset", "CityscapesDataset", "DeepFashionDataset", *_LVIS)
_VOC = ("VOCDataset", "XMLDataset", "WIDERFaceDataset")


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
        train = list(_leaves(loader, "dataset", settings))
        val = list(_other(config, ("val_dataloader", "test_dataloader"), "dataset"))
    elif isinstance(config.take("data"), dict):
        loader = config.section("data", training=True)
        settings["workers"] = loader.whole("workers_per_gpu", 2)
        train = list(_leaves(loader, "train", settings))
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
    settings["train"] = tuple(split for leaf in train for split in _splits(leaf, settings["root"]))
    settings["val"] = tuple(split for leaf in val for split in _splits(leaf, settings["root"]))
    settings |= read_augment(train[0] if train[0].has("pipeline") else loader, input)
    return Data.model_validate(settings)


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
        inner = "datasets" if dataset.has("datasets") else "dataset"
        if dataset.has(inner):
            yield from _leaves(dataset, inner, settings, depth - 1)
        else:
            yield dataset


def _described(config: Section, leaf: Section) -> dict[str, Any]:
    """Format, folder, metric and what is left out."""
    voc = leaf.kind in _VOC
    metric = "voc07" if voc else "lvis" if leaf.kind in _LVIS else "coco"
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


def _splits(leaf: Section, root: str) -> Iterator[Split]:
    """Annotation file, folders of images and class maps, and proposals, below the root where they are."""
    given = leaf.take("proposal_file")
    proposals = _below(root, given.removesuffix(".pkl") + ".safetensors") if isinstance(given, str) and given else ""
    files, folders = leaf.take("ann_file", ""), leaf.take("img_prefix", "")
    prefix, maps = leaf.take("data_prefix", {}), leaf.take("seg_prefix", "")
    if isinstance(prefix, dict) and prefix:
        folders = next((prefix[name] for name in ("img", "sub_data_root", "img_path") if name in prefix), "")
        maps = prefix.get("seg", "")
    semantic = _below(root, maps) if isinstance(maps, str) and maps else ""
    files = files if isinstance(files, list | tuple) else [files]
    folders = folders if isinstance(folders, list | tuple) else [folders] * len(files)
    for file, folder in zip(files, folders, strict=False):
        if isinstance(file, str) and isinstance(folder, str):
            where = {"annotations": _below(root, file), "images": _below(root, folder)}
            yield Split.model_validate({**where, "proposals": proposals, "semantic": semantic})


def _below(root: str, path: str) -> str:
    """A path without the root that it begins with, and without a slash at the end; nothing for the root itself."""
    found = PurePosixPath(path)
    below = str(found.relative_to(root) if found.is_relative_to(root) and root != "." else found)
    return "" if below == "." else below


__all__ = ["read_data"]
