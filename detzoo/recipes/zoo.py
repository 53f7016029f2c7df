"""The zoo: every recipe by its name, and detectors built from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from detzoo.config import flatten
from detzoo.detector import Detector, DetectorConfig
from detzoo.device import pick_device
from detzoo.pickles import paddle
from detzoo.pickles.files import read, state_dict
from detzoo.pickles.machine import CheckpointError
from detzoo.precision import Precision, pick_precision
from detzoo.recipes import (
    albu_example,
    atss,
    auto_assign,
    carafe,
    cascade_rcnn,
    cascade_rpn,
    cityscapes,
    cornernet,
    dcn,
    deepfashion,
    deformable_detr,
    detectors,
    detr,
    double_heads,
    dynamic_rcnn,
    empirical_attention,
    fast_rcnn,
    faster_rcnn,
    fcos,
    foveabox,
    fpg,
    free_anchor,
    fsaf,
    gcnet,
    gfl,
    ghm,
    grid_rcnn,
    groie,
    group_norm,
    guided_anchoring,
    hrnet,
    htc,
    instaboost,
    ld,
    legacy,
    libra_rcnn,
    lvis,
    mask_rcnn,
    mask_scoring_rcnn,
    nas_fcos,
    nas_fpn,
    no_pyramid,
    paa,
    paddle_dcn,
    paddle_faces,
    paddle_mask_rcnn,
    paddle_retinanet,
    paddle_ssd,
    paddle_static_pages,
    paddle_static_two_stage,
    paddle_yolov3,
    pafpn,
    pascal_voc,
    pisa,
    point_rend,
    regnet,
    reppoints,
    res2net,
    resnest,
    retinanet,
    rpn,
    sabl,
    scnet,
    scratch,
    shapes,
    small,
    sparse_rcnn,
    ssd,
    tridentnet,
    version_1,
    vfnet,
    weight_standardization,
    yolact,
    yolof,
    yolov3,
)
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.classes import COCO_CLASSES, SHAPES_CLASSES, VOC_CLASSES
from detzoo.recipes.classes import checked as _checked
from detzoo.recipes.download import fetch
from detzoo.recipes.files import EXPORTED, rebuild
from detzoo.recipes.index import spelling, spellings, unknown_recipe
from detzoo.recipes.own import knowing
from detzoo.recipes.own_backbone import fill, with_backbone
from detzoo.recipes.recipe import Recipe, method_of, recipe_of
from detzoo.user_path import user_path

TABLES: tuple[tuple[Recipe, ...], ...] = (
    faster_rcnn.RECIPES,
    mask_rcnn.RECIPES,
    retinanet.RECIPES,
    cascade_rcnn.RECIPES,
    cascade_rpn.RECIPES,
    htc.RECIPES,
    scnet.RECIPES,
    dcn.RECIPES,
    fcos.RECIPES,
    foveabox.RECIPES,
    fsaf.RECIPES,
    atss.RECIPES,
    auto_assign.RECIPES,
    gfl.RECIPES,
    ld.RECIPES,
    vfnet.RECIPES,
    reppoints.RECIPES,
    rpn.RECIPES,
    fast_rcnn.RECIPES,
    no_pyramid.RECIPES,
    cornernet.RECIPES,
    ssd.RECIPES,
    yolact.RECIPES,
    yolof.RECIPES,
    yolov3.RECIPES,
    paddle_retinanet.RECIPES,
    paddle_ssd.RECIPES,
    paddle_faces.RECIPES,
    paddle_yolov3.RECIPES,
    detr.RECIPES,
    deformable_detr.RECIPES,
    sparse_rcnn.RECIPES,
    group_norm.RECIPES,
    weight_standardization.RECIPES,
    gcnet.RECIPES,
    free_anchor.RECIPES,
    ghm.RECIPES,
    empirical_attention.RECIPES,
    groie.RECIPES,
    mask_scoring_rcnn.RECIPES,
    point_rend.RECIPES,
    double_heads.RECIPES,
    dynamic_rcnn.RECIPES,
    grid_rcnn.RECIPES,
    libra_rcnn.RECIPES,
    guided_anchoring.RECIPES,
    pisa.RECIPES,
    sabl.RECIPES,
    tridentnet.RECIPES,
    scratch.RECIPES,
    regnet.RECIPES,
    resnest.RECIPES,
    hrnet.RECIPES,
    res2net.RECIPES,
    paa.RECIPES,
    pafpn.RECIPES,
    nas_fcos.RECIPES,
    nas_fpn.RECIPES,
    fpg.RECIPES,
    carafe.RECIPES,
    detectors.RECIPES,
    cityscapes.RECIPES,
    pascal_voc.RECIPES,
    deepfashion.RECIPES,
    instaboost.RECIPES,
    albu_example.RECIPES,
    lvis.RECIPES,
    legacy.RECIPES,
    shapes.RECIPES,
    small.RECIPES,
    paddle_mask_rcnn.RECIPES,
    paddle_dcn.RECIPES,
    paddle_static_two_stage.RECIPES,
    paddle_static_pages.RECIPES,
)

_BY_NAME = {recipe.name: recipe for table in TABLES for recipe in table}
# no recipe's name ends so, nor as a file that is exported
_FILES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pdparams")
_CLASSES = {"coco": COCO_CLASSES, "voc": VOC_CLASSES, "shapes": SHAPES_CLASSES}


def find(name: str) -> Recipe:
    """The recipe of a name; the name of its MMDetection config file is good too, and ``-`` counts as ``_``.

    Raises:
        TypeError: ``name`` is no string.
        UnknownRecipe: there is none (a `KeyError`); the message suggests some.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a recipe should be a string, not {type(name).__name__}")
    if name in _BY_NAME:
        return _BY_NAME[name]
    wanted = spelling(name)
    for recipe in _BY_NAME.values():
        if wanted in spellings(recipe.name, recipe.config):
            return recipe
    raise unknown_recipe(name, _BY_NAME)


def classes_of(recipe: Recipe) -> tuple[str, ...]:
    """The class names that a recipe was published for: its ``data.classes``, or else those of its data set."""
    if recipe.data.classes is None and recipe.data.kind not in _CLASSES:
        raise ValueError(f"{recipe.name} says no classes: pass classes=['cat', 'dog']")
    return recipe.data.classes or _CLASSES[recipe.data.kind]


def build(
    name_or_recipe: str | Recipe | DetectorConfig,
    classes: Sequence[str] | None = None,
    *,
    backbone: nn.Module | None = None,
) -> Detector:
    """A detector with random weights.

    Args:
        name_or_recipe: a name that `find` knows, a recipe, or a method's settings alone, as the program's own.
        classes: names of what it is to find, in the order of the labels; default: the recipe's ``data.classes``, or
            else those of the data set that it was published for.
        backbone: the program's own, in place of the recipe's, with the weights that it has: any module with
            ``channels`` and ``strides`` of the maps that it returns, finest first.

    Returns:
        The detector in training mode; its ``recipe`` has the class names in ``data.classes``.

    Raises:
        UnknownRecipe: no recipe has the name.
        TypeError: no recipe nor the name of one, ``classes`` is a number or a single string, or ``backbone`` does not
            say what it returns.
        ValueError: ``classes`` is empty, too long, or names a class twice; or is missing where nothing was published.
        ConfigError: the model of the recipe cannot be built, is too large to be meant, or takes no other backbone.
    """
    if isinstance(name_or_recipe, DetectorConfig):
        if classes is None:
            raise ValueError("settings of a method say no classes: pass classes=['cat', 'dog']")
        recipe = recipe_of(name_or_recipe)
    else:
        recipe = name_or_recipe if isinstance(name_or_recipe, Recipe) else find(name_or_recipe)
    if backbone is not None:
        recipe = with_backbone(recipe, backbone)
    names = _checked(classes_of(recipe) if classes is None else classes)
    blueprint(recipe, names)
    detector = method_of(recipe)(recipe.model, names)
    fill(detector, backbone)
    detector.recipe = recipe.replace(data=recipe.data.replace(classes=names, own=None))
    return detector


def load(
    name_or_path: str | os.PathLike[str],
    device: torch.device | str | None = "cpu",
    *,
    parts: Mapping[str, nn.Module] | None = None,
    backbone: nn.Module | None = None,
    methods: Sequence[type[Detector]] = (),
    precision: Precision | torch.dtype | None = None,
) -> Detector:
    """A detector with trained weights, in evaluation mode.

    Args:
        name_or_path: a name of the zoo, whose published weights are fetched into the cache and checked (see
            `detzoo.recipes.download`), or the path of a file that `Detector.save` or training wrote.
        device: where it goes: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None: the fastest there is.
        parts: modules of the program's own, by the names that the file was saved with (`Detector.save`); they are put
            in their places and given their weights.
        backbone: the program's own, for a file of a detector that was built with one; it is given its weights.
        methods: the program's own subclasses of `Detector` that the file may name, beside detzoo's.
        precision: what the weights are converted to and the network computes in: ``fp32``, ``bf16`` or ``fp16``; boxes
            and scores stay float32. None: as they were saved.

    Raises:
        TypeError: the first argument is neither a string nor a path.
        FileNotFoundError: there is no file at the path.
        UnknownRecipe: neither a file nor a recipe has this name.
        CheckpointError: the file is damaged, does not fit, cannot be read safely, or needs other ``parts`` or another
            ``backbone``.
        ConfigError: the file names a method that is neither detzoo's nor among ``methods``.
        DownloadError: the published file cannot be fetched.
        ValueError: no weights were published for the recipe, there is no such precision, or the device does not exist
            here.
    """
    place, dtype = pick_device(device), pick_precision(precision)
    found = locate(name_or_path)
    if isinstance(found, Path) and found.suffix.lower() in EXPORTED:
        if parts or dtype is not None:
            raise ValueError(f"{found} is an exported file, whose parts and precision are fixed")
        return Detector.of_file(found, torch.device("cpu") if device is None else place)
    if isinstance(found, Path):
        with knowing(methods):
            return rebuild(found, parts, backbone).to(place, dtype)
    if parts:
        raise ValueError(f"parts are for a file that was saved with some; {name_or_path} is a name of the zoo")
    if backbone is not None:
        raise ValueError(
            f"published weights are of another backbone: detzoo.build({str(name_or_path)!r}, backbone=module) has none"
        )
    return _published(found).to(place, dtype)


def locate(name_or_path: str | os.PathLike[str]) -> Path | Recipe:
    """The weights file or the recipe that `load` would take; nothing is read.

    Raises:
        TypeError: it is neither a string nor a path.
        FileNotFoundError: there is no file at the path.
        UnknownRecipe: neither a file nor a recipe has this name.
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(f"a weights file should be a name or a path, not {type(name_or_path).__name__}")
    path = user_path(name_or_path)
    if path.is_file():
        return path
    if path.is_dir():
        raise FileNotFoundError(f"{path} is a folder; name the weights file in it")
    if not isinstance(name_or_path, str) or path.suffix in (*_FILES, *EXPORTED) or len(path.parts) > 1:
        raise FileNotFoundError(f"no weights file at {path}")
    return find(name_or_path)


def _published(recipe: Recipe) -> Detector:
    if recipe.weights is None:
        raise ValueError(
            f"no weights were published for {recipe.name}; train it first, or build it with random ones by detzoo.build"
        )
    path = fetch(recipe.weights.url, recipe.weights.sha256)
    of_paddle = recipe.weights.url.endswith(paddle.SUFFIXES)
    content = paddle.read(path) if of_paddle else read(path)
    detector = build(recipe)
    try:
        if of_paddle:
            detector.load_paddle(content)
            return detector.eval()
        state = state_dict(content)
        if any(name.endswith(".legacy") and value for name, value in flatten(recipe.model).items()):
            state = version_1.upgraded(state, detector)
        detector.load_published(state)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return detector.eval()
