"""Every row of the published tables holds together, and a few are compared with what was published."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest
import torch

import detzoo
from detzoo.backbones.resnet import ResNet
from detzoo.config import from_json, to_json
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.recipes import zoo
from detzoo.recipes.index import lookup, spellings
from detzoo.recipes.recipe import Recipe
from detzoo.recipes.settings import Split
from detzoo.train.optimizer import make_optimizer
from tests.published import parameters_of, published_rows

RECIPES = [recipe for table in zoo.TABLES for recipe in table]
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=[recipe.name for recipe in RECIPES])
SOURCES = [path.read_text() for path in sorted(Path(zoo.__file__).parent.glob("*.py"))]
# one of each model, of which the published parameters are listed if they are of any
LISTED = sorted(RECIPES, key=lambda recipe: parameters_of(recipe.config or "") is not None)
DISTINCT = {(to_json(one.model), one.data.kind, one.data.classes): one for one in LISTED}.values()

# trainable or frozen, without buffers, as MMDetection 3.3.0 counts them
PARAMETERS = {
    "faster_rcnn_r50_fpn_1x_coco": 41_753_056,
    "faster_rcnn_r50_caffe_fpn_1x_coco": 41_753_056,
    "faster_rcnn_r50_fpn_ciou_1x_coco": 41_753_056,
    "faster_rcnn_r50_caffe_fpn_mstrain_1x_coco-person": 41_348_181,
    "faster_rcnn_r101_fpn_1x_coco": 60_745_184,
    "mask_rcnn_r50_caffe_fpn_1x_coco": 44_396_336,
    "mask_rcnn_r101_caffe_fpn_1x_coco": 63_388_464,
    "mask_rcnn_x101_32x4d_fpn_1x_coco": 63_017_008,
    "mask_rcnn_x101_32x8d_fpn_1x_coco": 107_630_640,
    "mask_rcnn_x101_64x4d_fpn_1x_coco": 102_294_576,
    "faster_rcnn_r50_caffe_c4_1x_coco": 33_844_764,
    "faster_rcnn_r50_caffe_dc5_1x_coco": 165_634_588,
    "mask_rcnn_r50_caffe_c4_1x_coco": 35_962_732,
    "fast_rcnn_r50_fpn_1x_coco": 41_159_121,
    "rpn_r50_fpn_1x_coco": 27_446_351,
    "rpn_r101_fpn_1x_coco": 46_438_479,
    "retinanet_r50_fpn_1x_coco": 37_968_692,
    "retinanet_r101_fpn_1x_coco": 56_960_820,
    "detr_r50_8x2_150e_coco": 41_575_061,
    "faster_rcnn_s101_fpn_syncbn-backbone+head_mstrain-range_1x_coco": 65_782_784,
    "mask_rcnn_r50_fpn_gn_ws-all_2x_coco": 45_711_152,
    "faster_rcnn_hrnetv2p_w18_1x_coco": 27_482_676,
    "faster_rcnn_r2_101_fpn_2x_coco": 61_421_944,
}


@every_recipe
def test_a_recipe_survives_json(recipe: Recipe):
    assert from_json(Recipe, to_json(recipe)) == recipe


@every_recipe
def test_its_name_is_found_and_can_be_grepped(recipe: Recipe):
    assert detzoo.find(recipe.name) is recipe
    assert sum(f'name="{recipe.name}"' in source for source in SOURCES) == 1
    if recipe.config is not None and recipe.config.endswith(".yml"):  # of PaddleDetection, whose names are others', too
        assert recipe.name.startswith(("pd_", "pdold_"))
    elif recipe.config is not None:
        # rows that were tested otherwise share a config, which is the first's name
        first = next(one for one in RECIPES if one.config == recipe.config)
        assert detzoo.find(PurePosixPath(recipe.config).stem) is first


@every_recipe
def test_published_numbers_and_weights_are_plausible(recipe: Recipe):
    if recipe.published is not None:
        for value in (recipe.published.box_ap, recipe.published.mask_ap, recipe.published.ar1000):
            assert value is None or 20 < value < 90
        easy, medium, hard = recipe.published.wider_ap or (3, 2, 1)
        assert 95 > easy > medium > hard > 0
    if recipe.weights is not None:
        marked = re.search(r"-([0-9a-f]{8})\.pth$", recipe.weights.url)
        assert recipe.weights.sha256 == (marked and marked[1])
        assert recipe.config is not None


@every_recipe
def test_masks_are_read_where_they_are_learned(recipe: Recipe):
    assert recipe.data.masks == ("mask_head" in type(recipe.model).model_fields)


@pytest.mark.parametrize("recipe", DISTINCT, ids=[recipe.name for recipe in DISTINCT])
def test_a_recipe_builds_with_the_published_parameters(recipe: Recipe):
    shapes = parameters_of(recipe.config or "")
    assert shapes or recipe.config not in {row.config for row in published_rows()}
    with torch.device("meta"):
        detector = detzoo.build(recipe)
        if shapes:
            detector.load_published({name: torch.empty(shape) for name, shape in shapes.items()})
    assert any(parameter.requires_grad for parameter in detector.parameters())
    count = sum(parameter.numel() for parameter in detector.parameters())
    assert lookup(recipe.name).parameters == count, "remove the zoo's index and run `make index`"


def test_names_are_unique_however_they_are_spelled():
    first = {recipe.config: recipe for recipe in reversed(RECIPES)}  # of those that share a config
    named = [(recipe.name, recipe.config if first[recipe.config] is recipe else None) for recipe in RECIPES]
    counted = Counter(spelling for name, config in named for spelling in set(spellings(name, config)))
    assert [spelling for spelling, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_as_many_as_published(name: str):
    with torch.device("meta"):
        detector = detzoo.build(name)
    assert sum(parameter.numel() for parameter in detector.parameters()) == PARAMETERS[name]


def test_a_row_reads_like_the_published_config():
    recipe = detzoo.find("mask_rcnn_r50_caffe_fpn_mstrain-poly_3x_coco")
    assert isinstance(recipe.model, MaskRCNN.Config)
    assert isinstance(recipe.model.backbone, ResNet.Config)
    assert (recipe.model.backbone.style, recipe.model.backbone.norm_frozen) == ("caffe", True)
    assert (recipe.model.input.order, recipe.model.input.std) == ("bgr", (1.0, 1.0, 1.0))
    assert recipe.data.sizes == ((640, 1333), (672, 1333), (704, 1333), (736, 1333), (768, 1333), (800, 1333))
    assert recipe.data.size_mode == "choice"
    assert recipe.data.train == (Split(annotations="annotations/instances_train2017.json", images="train2017"),)
    assert (recipe.schedule.epochs, recipe.schedule.milestones, recipe.schedule.lr) == (36, (28, 34), 0.02)
    assert recipe.published is not None
    assert (recipe.published.box_ap, recipe.published.mask_ap) == (40.8, 37.0)
    assert recipe.config == "mask_rcnn/mask-rcnn_r50-caffe_fpn_ms-poly-3x_coco.py"


def test_norms_are_spared_weight_decay():
    recipe = detzoo.find("faster_rcnn_r50_fpn_gn-all_scratch_6x_coco")
    detector = detzoo.build(recipe)
    norms = {
        f"{name}.{leaf}"
        for name, module in detector.named_modules()
        if isinstance(module, torch.nn.GroupNorm)
        for leaf in ("weight", "bias")
    }
    optimizer, unused = make_optimizer(detector, recipe.schedule, recipe.schedule.lr)
    names = {parameter: name for name, parameter in detector.named_parameters()}
    groups = {group["weight_decay"]: {names[one] for one in group["params"]} for group in optimizer.param_groups}
    assert set(groups) == {0.0, recipe.schedule.weight_decay}
    assert groups[0.0] == norms
    assert unused == []
