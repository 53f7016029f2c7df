"""Small detectors and batches that every test of a method can afford."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import detzoo
from detzoo.detector import Detector
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.centripetalnet import CentripetalNet
from detzoo.methods.deformable_detr import DeformableDETR
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.fcos import FCOS
from detzoo.methods.foveabox import FoveaBox
from detzoo.methods.gfl import GFL
from detzoo.methods.ld import LD
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.methods.yolov3 import YOLOv3
from detzoo.recipes.recipe import METHODS, Recipe
from detzoo.recipes.settings import Data
from detzoo.types import Detections, Images, Targets

CLASSES = ("disc", "box", "star")
CANVAS = (96, 128)

# shrinks what a method shares with the others; a method without such a part or setting ignores the entry
SMALL: dict[str, Any] = {
    "backbone": {"depth": 18},
    "neck": {"out_channels": 32},
    "rpn": {"channels": 32, "train_candidates": 50, "train_proposals": 40, "candidates": 50, "proposals": 40},
    "box_head": {"fc_channels": 32, "samples": 32, "detections": 10},
    "mask_head": {"channels": 32, "convs": 1},
    "semantic_head": {"convs": 2},
    "context_head": {"convs": 2},
    "mask_iou_head": {"channels": 32, "convs": 1, "fcs": 1, "fc_channels": 32},
    "grid_head": {"size": 6, "channels": 8, "convs": 1, "groups": 9, "samples": 12},
    "encoder": {"layers": 1, "heads": 2, "hidden": 32, "dropout": 0.0},
    "decoder": {"layers": 2, "heads": 2, "hidden": 32, "dropout": 0.0},
    "head": {"channels": 32, "convs": 1, "detections": 10},
}

# a fresh network's locations are all at the usual threshold, where rounding decides
ALL_CELLS = {"threshold": 0.001}
HOURGLASS = {"widths": (64, 64, 64), "blocks": (1, 1, 1), "out_channels": 32}
# and what only one method has
SMALL_METHOD: dict[str, dict[str, Any]] = {
    "atss": {"head": {"channels": 64}},  # group normalization needs two values per group, also on a single cell
    "auto_assign": {"head": {"channels": 64}},  # as atss
    # a fresh network's corners expect the centre one cell away: many have to be looked at
    "centripetalnet": {"backbone": HOURGLASS, "head": {"pooled": 32, "corners": 150, "pairs": 50}},
    "cornernet": {"backbone": HOURGLASS, "head": {"pooled": 32, "corners": 20, "pairs": 50}},
    # one update of AdamW moves an output by as much as there are channels: with fewer, ten updates are not enough
    "detr": {"neck": {"out_channels": 128}, "encoder": {"hidden": 128}, "decoder": {"hidden": 128}},
    "deformable_detr": {"neck": {"out_channels": 128}, "encoder": {"hidden": 128}, "decoder": {"hidden": 128}},
    "fcos": {"head": {"channels": 64}},  # as atss
    "paa": {"head": {"channels": 64}},  # as atss
    "gfl": {"head": {"channels": 64}},  # as atss
    "foveabox": {"head": {"channels": 64}},  # as atss
    # as atss; the teacher knows no more of the objects than its student, and would have it say something else
    "ld": {"head": {"channels": 64}, "distillation": {"weight": 0.01}},
    "ga_retinanet": {"head": {"guide": {"side": 4.0, "std": 1.0} | ALL_CELLS}},
    "grid_rcnn": {"grid_head": {"channels": 64}},  # as detr
    "reppoints": {"head": {"point_channels": 32}},
    "sabl_retinanet": {"head": {"channels": 64}},  # as detr
    "scnet": {"mask_head": {"convs": 2}},
    "sparse_rcnn": {
        "neck": {"out_channels": 64},
        "head": {"stages": 2, "size": 3, "heads": 2, "hidden": 64, "dynamic": 16, "reg_fcs": 1},
    },
    "ssd": {
        "backbone": {"depth": 11, "channels": (16, 16, 32, 32, 32), "last_channels": 32},
        "neck": {"out_channels": (32, 16, 16, 16)},
        "head": {"sizes": (12, 20, 32, 48, 64, 80, 96)},
    },
    "tridentnet": {"backbone": {"depth": 50, "base_width": 32}, "box_head": {"size": 4}},
    # wide enough that 30 steps halve two more losses, one of which waits for the other
    "point_rend": {
        "box_head": {"fc_channels": 128},
        "mask_head": {"size": 8, "channels": 64, "fc_channels": 256},
        "point_head": {"channels": 128, "points": 24, "steps": 3, "step_points": 64},
    },
    "vfnet": {"head": {"channels": 64}},  # as atss
    # near ties of predictions, which rounding decides, change less where all pairs count
    "yolof": {"head": {"match": {"positive": 0.0}}},
    "yolov3": {
        "backbone": {"blocks": (1, 1, 1, 1, 1)},
        "neck": {"out_channels": (32, 32, 32)},
        "head": {"channels": None},  # one for each map
    },
}

ATTENTION = {"block": {"kind": "attention", "heads": 8}, "stages": [3, 4], "after": "conv2"}
REGNET = {"depth": 5, "initial_width": 16, "slope": 24.0, "ratio": 2.0, "group_width": 8}  # 16, 32, 64, 64, 128 wide
GROIE = {"extractor": {"kind": "groie", "kernel": 3}}
# boxes of PaddleDetection's static-graph releases
STATIC_RPN = {"anchors": {"classic": True}, "border": 0.0, "whole_canvas": True, "shrink_bound": False}
STATIC_ROIS = {"extractor": {"kind": "unaligned", "last_pixel": True}, "sampling": 2}
STATIC_BOXES = STATIC_ROIS | {"in_files": True, "shrink_bound": False}
# Every method, and forms of methods whose graphs hold other operators: what has to be captured, counted and learned.
FORMS: dict[str, tuple[type[Detector], dict[str, Any]]] = {
    **{method.__name__: (method, {}) for method in METHODS},
    "DeformableDETR-two-stage": (DeformableDETR, {"refine": True, "two_stage": True}),
    "FCOS-dcn-head": (FCOS, {"head": {"deform": {"version": 2}}}),
    "FCOS-iou": (
        FCOS,
        {
            "head": {
                **{"bias": True, "in_strides": True, "centerness_on_reg": True, "radius": 1.5, "clip": False},
                **{"learns_iou": True, "loss_in_strides": True, "by_product": True},
                "box_loss": {"kind": "giou", "more": 1.0},
            }
        },
    ),
    "FCOS-searched": (
        FCOS,
        # as of "RetinaNet-nas-fpn": biases with a norm behind them have no gradient
        {"neck": {"kind": "nas_fcos", "out_channels": 64, "norm": None}, "head": {"searched": True}},
    ),
    "FoveaBox-aligned": (FoveaBox, {"head": {"align": True}}),
    "FasterRCNN-dcn": (FasterRCNN, {"backbone": {"deform": {"version": 1}}}),
    "FasterRCNN-dcnv2": (FasterRCNN, {"backbone": {"deform": {"version": 2}}}),
    "FasterRCNN-hrnet": (
        FasterRCNN,
        {
            "backbone": {"kind": "hrnet", "width": 32, "first_width": 32, "modules": (1, 1, 1), "blocks": (1, 1, 1, 1)},
            "neck": {"kind": "hrfpn", "out_channels": 32},
        },
    ),
    "FasterRCNN-context": (FasterRCNN, {"backbone": {"plugins": [{"block": {"kind": "context"}, "after": "conv2"}]}}),
    "FasterRCNN-non-local": (
        FasterRCNN,
        {
            "backbone": {
                **{"stem": "deep", "avg_down": True, "project_first": True},
                "plugins": [
                    {"block": {"kind": "non_local"}, "stages": [3], "after": "block", "every": 2},
                    {"block": {"kind": "squeeze_excitation"}, "stages": [4], "after": "conv2"},
                ],
            }
        },
    ),
    "MaskRCNN-c4": (
        MaskRCNN,
        {
            "backbone": {"strides": (1, 2, 2), "dilations": (1, 1, 1), "out_stages": (3,)},
            "neck": {"kind": "none"},
            "rpn": {
                "anchors": {"scales": (2.0, 4.0, 8.0), "ratios_first": False},
                "match": {"positive": 0.7, "negative": 0.3, "low_quality": 0.0, "claims": False},
                **{"by_samples": True, "shrink_bound": False, "min_size": 1.0, "one_of_each": True},
            },
            "box_head": {"size": 6, "fcs": 0},
            "mask_head": {"size": 3, "convs": 0},
            **{"roi_levels": 1, "roi_stage": True},
        },
    ),
    "MaskRCNN-groie": (MaskRCNN, {"box_head": GROIE, "mask_head": GROIE}),
    "MaskRCNN-legacy": (
        MaskRCNN,
        {
            "rpn": {"legacy": True},
            "box_head": {"legacy": True, "extractor": {"kind": "unaligned"}},
            "mask_head": {"extractor": {"kind": "unaligned"}},
        },
    ),
    "FasterRCNN-dpool": (FasterRCNN, {"box_head": {"extractor": {"kind": "deform", "version": 2, "channels": 16}}}),
    "FasterRCNN-attention": (FasterRCNN, {"backbone": {"plugins": [ATTENTION]}}),
    "FasterRCNN-res2net": (
        FasterRCNN,
        {
            "backbone": {
                **{"kind": "res2net", "depth": 50, "scales": 2, "base_width": 32, "frozen_stages": 0},
                **{"strides": (1, 2), "dilations": (1, 1), "out_stages": (1, 2)},
            }
        },
    ),
    "FasterRCNN-guided": (FasterRCNN, {"rpn": {"kind": "guided", "guide": ALL_CELLS}}),
    "FasterRCNN-cascade-rpn": (FasterRCNN, {"rpn": {"kind": "cascade"}}),
    "FasterRCNN-double-head": (FasterRCNN, {"box_head": {"double_head": {"blocks": 1, "channels": 32}}}),
    "FasterRCNN-side-aware": (FasterRCNN, {"box_head": {"side_aware": {"convs": 1}}}),
    "FasterRCNN-regnet": (FasterRCNN, {"backbone": {"kind": "regnet"} | REGNET}),
    "FasterRCNN-standardized": (
        FasterRCNN,
        {part: {"norm": "gn", "standardize": True} for part in ("backbone", "neck")},
    ),
    "MaskRCNN-resnest": (
        MaskRCNN,
        {
            "backbone": {"kind": "resnest", "depth": 50, "stem_width": 16},
            "box_head": {"convs": 1, "channels": 32, "fcs": 1, "norm": "bn"},
            "mask_head": {"norm": "bn"},
        },
    ),
    "CascadeRCNN-detectors": (
        CascadeRCNN,
        {
            "backbone": {"kind": "detectors_resnet", "switchable_stages": (4,), "with_image": True},
            "neck": {"kind": "rfp", "backbone": {"depth": 18, "switchable_stages": (4,)}, "aspp_channels": 8},
        },
    ),
    "CascadeRCNN-class-aware": (
        CascadeRCNN,
        {
            "backbone": {
                **{"kind": "res2net", "depth": 50, "scales": 2, "base_width": 32, "frozen_stages": 0},
                **{"first_sums": True, "pool_padding": False, "project_first": True, "deform": {"version": 2}},
                **{"strides": (1, 2), "dilations": (1, 1), "out_stages": (1, 2), "deform_stages": (2,)},
            },
            "neck": {"kind": "bfp", "resize": "corners", "pyramid": {"out_channels": 32}},
            "rpn": STATIC_RPN,
            "box_head": STATIC_BOXES
            | {"class_agnostic": False, "soft_nms": {"method": "gaussian", "min_score": 0.01}, "threshold": 0.01},
            **{"averaged": "probabilities", "shares": (0.2, 0.3, 0.5), "objects_once": True},
        },
    ),
    "CascadeMaskRCNN-last-boxes": (
        CascadeMaskRCNN,
        {
            "backbone": {
                **{"kind": "senet", "depth": 50, "form": "original", "frozen_stages": 0, "deform": {"version": 2}},
                **{"strides": (1, 2), "dilations": (1, 1), "out_stages": (1, 2), "deform_stages": (2,)},
            },
            "neck": {"norm": "gn"},
            "rpn": STATIC_RPN,
            "box_head": STATIC_BOXES | {"convs": 1, "channels": 32, "fcs": 1, "norm": "gn"},
            "mask_head": STATIC_ROIS | {"norm": "gn"},
            **{"one_mask_head": True, "averaged": "last_boxes", "objects_once": True, "shared_layers": True},
        },
    ),
    "FasterRCNN-swin": (
        FasterRCNN,
        {"backbone": {"kind": "swin", "width": 32, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 2), "drop_path": 0.0}},
    ),
    "FasterRCNN-mobilenet": (FasterRCNN, {"backbone": {"kind": "mobilenet_v2", "width": 0.35}}),
    "FasterRCNN-mobilenet-v1": (  # and with the proposals of PaddleDetection
        FasterRCNN,
        {"backbone": {"kind": "mobilenet_v1", "width": 0.5}, "rpn": {"one_of_each": True}},
    ),
    "FasterRCNN-mobilenet-v3": (
        FasterRCNN,
        {"backbone": {"kind": "mobilenet_v3", "size": "small", "width": 0.5, "out_blocks": (1, 3, 8, 11)}},
    ),
    "FasterRCNN-ghostnet": (
        FasterRCNN,
        {"backbone": {"kind": "ghostnet", "width": 0.5, "out_blocks": (5, 12), "extra": ((16, 32),)}},
    ),
    "FasterRCNN-cbnet": (FasterRCNN, {"backbone": {"kind": "cbnet", "network": {"depth": 18}}}),
    "FasterRCNN-senet": (
        FasterRCNN,
        {
            "backbone": {
                **{"kind": "senet", "depth": 50, "project_first": True, "frozen_stages": 0},
                **{"strides": (1, 2), "dilations": (1, 1), "out_stages": (1, 2)},
            }
        },
    ),
    "FasterRCNN-hrnet-corners": (
        FasterRCNN,
        {
            "backbone": {
                **{"kind": "hrnet", "width": 32, "first_width": 32, "resize": "corners"},
                **{"modules": (1, 1, 1), "blocks": (1, 1, 1, 1)},
            },
            "neck": {"kind": "hrfpn", "out_channels": 32, "bias": False, "corners": True},
        },
    ),
    "FasterRCNN-timm": (FasterRCNN, {"backbone": {"kind": "timm", "name": "test_convnext", "norms": True}}),
    "FasterRCNN-pafpn": (FasterRCNN, {"neck": {"kind": "pafpn"}}),
    "FasterRCNN-libra": (
        FasterRCNN,
        {
            "neck": {"kind": "bfp", "pyramid": {"out_channels": 32}},
            "rpn": {"negative_ratio": 5.0},
            "box_head": {"balance": {}, "box_loss": {"kind": "balanced_l1"}},
        },
    ),
    "FasterRCNN-pisa": (FasterRCNN, {"box_head": {"score_ranks": {}, "prime": {}}}),
    "RetinaNet-pixels": (RetinaNet, {"head": {"last_pixel": True, "anchors": {"classic": True}}}),
    "RetinaNet-pisa": (RetinaNet, {"head": {"prime": {}}}),
    "SSD-pisa": (SSD, {"head": {"prime": {}}}),
    "SSD-spread": (SSD, {"head": {"spread": True, "inside": True, "mean_last": True, "alone": 0.01, "clip": False}}),
    "SSD-separable": (
        SSD,
        # the coarsest map has several cells, to be normalized of one image
        {
            "backbone": {"kind": "mobilenet_v1", "width": 0.25, "out_pairs": (11, 13)},
            "neck": {
                "out_channels": (32,),
                "steps": (2,),
                "paddings": (1,),
                "scale": None,
                "norm": "bn",
                "relu6": True,
            },
            "head": {
                **{"sizes": (16, 32, 64, 96), "ratios": ((2,), (2,), (2,)), "steps": None, "inside": True},
                **{"mean_last": True, "alone": 0.01, "clip": False, "separable": True},
            },
            "follow_batches": True,
        },
    ),
    "SSD-blazeface": (
        SSD,
        {
            "backbone": {
                **{"kind": "blazenet", "stem": 16, "singles": ((16, 1), (32, 2)), "middle": "hard_swish"},
                **{"doubles": ((16, 32, 2), (16, 64, 2)), "out_blocks": (3, 4)},
            },
            "neck": {"kind": "fpn_ssh"},
            "head": {"squares": ((16, 24), (32, 48, 64)), "steps": (8, 16), "together": True},
            "follow_batches": True,
        },
    ),
    "SSD-faceboxes": (
        SSD,
        {
            "backbone": {"kind": "faceboxnet", "width": 0.25},
            "neck": {"kind": "none"},
            "head": {
                **{"squares": ((16, 32), (48,), (64,)), "densities": ((2, 1), (1,), (1,)), "steps": (8, 16, 32)},
                **{"inside": True, "together": True},
            },
        },
    ),
    "YOLOv3-by-shape": (
        YOLOv3,
        {
            "neck": {"drop": {"kept": 1.0}},  # draws, as if for fewer
            "head": {
                "by_shape": {"smoothing": True, "box_loss": {"kind": "square_iou", "weight": 2.5}},
                "iou_aware": 0.4,
                "joint": True,
                "last_pixel": True,
                "legacy": True,
            },
            "follow_batches": True,
        },
    ),
    "FasterRCNN-fpg": (FasterRCNN, {"neck": {"kind": "fpg", "inter_channels": 32, "pathways": 3}}),
    "MaskRCNN-carafe": (
        MaskRCNN,
        {"neck": {"kind": "fpn_carafe"}, "mask_head": {"carafe": {"kernel": 3, "compressed": 16}}},
    ),
    "RetinaNet-free-anchor": (RetinaNet, {"head": {"free_anchor": {"size": 20}}}),
    "RetinaNet-ghm": (RetinaNet, {"head": {"ghm_c": {}, "ghm_r": {}}}),
    "RetinaNet-nas-fpn": (
        RetinaNet,
        # with a norm behind them the cells' biases have no gradient but what rounding leaves; of one image the coarsest
        # level has to have several cells to be normalized
        {
            "neck": {"kind": "nas_fpn", "start": 0, "stacks": 2, "norm": None},
            "head": {"norm": "bn", "norm_per_level": True},
        },
    ),
}
METHOD_IDS = [method.__name__ for method in METHODS]

# One method of each family. What is costly to show (captured graphs, thirty steps of training) is shown of these in
# continuous integration, and of all by `make sweep`.
FAMILIES = {
    "RetinaNet": "dense heads on a pyramid",
    "CascadeMaskRCNN": "stages on regions, and masks",
    "DETR": "queries",
    "CornerNet": "corners",
    "FasterRCNN-dcnv2": "deformable convolution",
}


def _of(always: Collection[str]) -> pytest.MarkDecorator:
    """A test of every form, of which continuous integration makes those of ``always``."""
    forms = [form if form in always else pytest.param(form, marks=pytest.mark.sweep) for form in FORMS]
    return pytest.mark.parametrize("form", forms)


# what is cheap to show of every method, and of methods on other parts by `make sweep`
every_form, swept_form = _of({*METHOD_IDS, *FAMILIES}), _of(FAMILIES)
# torch 2.11's compiler traces an autograd function by making one, of which torch itself warns; later ones do not
compiles = pytest.mark.filterwarnings(
    "ignore:<class 'torch.autograd.function.Function'> should not be instantiated:DeprecationWarning"
)


def tiny(form: str | type[Detector], **changes: Any) -> Detector:
    """A small detector of three classes with fixed weights; ``form``: a method, or the name of one of `FORMS`."""
    torch.manual_seed(0)
    method, own = FORMS[form] if isinstance(form, str) else (form, {})
    kind: Any = method.__dict__["Config"]
    settings = kind().model_dump()
    for part, values in (*own.items(), *changes.items()):
        if isinstance(values, dict) and "kind" in values:  # another kind of part has other settings
            settings[part] = kind.model_validate({part: {"kind": values["kind"]}}).model_dump()[part]
    for source in (SMALL, SMALL_METHOD.get(settings["method"], {}), own, changes):
        for part, values in source.items():
            if not isinstance(values, dict):
                settings[part] = values
            elif part in settings:
                settings[part] |= {name: value for name, value in values.items() if name in settings[part]}
    if method is LD:
        settings["distillation"]["teacher"] = _teacher()
    torch.manual_seed(0)
    detector = method(kind.model_validate(settings), CLASSES)
    if isinstance(detector, LD):
        detector.learn_from(detzoo.load(_teacher()))
    if isinstance(detector, CentripetalNet):
        with torch.no_grad():
            for corner in (*detector.top_left, *detector.bottom_right):
                corner.get_parameter("heat.1.conv.weight").mul_(5)  # or each kind of corner has a class of its own
    return detector


_FILES = tempfile.TemporaryDirectory()


@functools.cache
def _teacher() -> str:
    """The file of a detector that small ones learn from, which is sure of something."""
    teacher = tiny(GFL)
    torch.nn.init.normal_(teacher.get_parameter("head.reg.weight"), std=0.1)
    teacher.recipe = Recipe(name="teacher", model=cast(GFL.Config, teacher.config), data=Data(classes=CLASSES))
    return str(teacher.save(Path(_FILES.name) / "teacher.safetensors"))


def images(count: int = 2) -> Images:
    """Noise; the last image is smaller than the canvas."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(count, 3, *CANVAS, generator=generator)
    sizes = torch.tensor([CANVAS] * count)
    sizes[-1] = torch.tensor([80, 100])
    return Images(pixels, sizes)


def targets(*counts: int) -> Targets:
    """As many random objects with masks per image as ``counts`` says."""
    generator = torch.Generator().manual_seed(2)
    items = []
    for count in counts:
        corner = torch.rand(count, 2, generator=generator) * 40
        size = 16 + torch.rand(count, 2, generator=generator) * 36
        boxes = torch.cat([corner, corner + size], 1)
        masks = torch.zeros(count, *CANVAS, dtype=torch.bool)
        for mask, box in zip(masks, boxes.long().tolist(), strict=True):
            mask[box[1] : box[3], box[0] : box[2]] = True
        labels = torch.randint(len(CLASSES), (count,), generator=generator)
        items.append({"boxes": boxes, "labels": labels, "masks": masks, "proposals": proposals(count + 1)})
        items[-1]["semantic"] = torch.randint(200, (CANVAS[0] // 8, CANVAS[1] // 8), generator=generator)
    return Targets.pack(items)


def proposals(seed: int) -> Tensor:
    """Random boxes ``[20, 4]`` on the canvas, for methods that are given theirs."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(20, 2, 2, generator=generator) * torch.tensor(CANVAS[::-1])
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """What training makes smaller: all that is called a loss."""
    return torch.stack([value for name, value in losses.items() if "loss" in name]).sum()


def detect(detector: Detector, batch: Images) -> Detections:
    """Detections of a batch, of `proposals` where a method takes them; an image's do not depend on the batch."""
    if not detector.takes_proposals:
        return detector.detect(batch)
    boxes = proposals(0).expand(batch.pixels.shape[0], -1, -1)
    return detector.detect(batch, proposals=boxes)  # pyright: ignore[reportCallIssue] (only such a method has it)
