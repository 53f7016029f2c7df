"""Columns that rows of PaddleDetection's tables share."""

from __future__ import annotations

from typing import Any

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.cbnet import CBNet
from detzoo.backbones.resnet import ResNet
from detzoo.backbones.senet import SENet
from detzoo.blocks.anchors import Anchors
from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.cascade import STAGES, Stage
from detzoo.blocks.losses import BoxLoss
from detzoo.blocks.non_local import NonLocal
from detzoo.blocks.plugins import Plugin
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.blocks.suppression import SoftNMS
from detzoo.blocks.unaligned import Unaligned
from detzoo.detector import Input
from detzoo.methods.cascade_mask_rcnn import CascadeMaskRCNN
from detzoo.methods.cascade_rcnn import CascadeRCNN
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.fpn import FPN
from detzoo.necks.no_neck import NoNeck
from detzoo.recipes.columns import COCO, COCO_MASKS, GN_FPN, NO_NORM_DECAY, dcn, row
from detzoo.recipes.paddle_initial import paddle_init
from detzoo.recipes.recipe import Init, Model, Published, Recipe
from detzoo.recipes.settings import Data, ParamGroup, Schedule

PADDLE_R50 = ResNet.Config(norm_frozen=True, project_first=True)
PADDLE_R101 = PADDLE_R50.replace(depth=101)


def vd(backbone: ResNet.Config) -> ResNet.Config:
    """ResNet-vd: a deep stem, and shortcuts that halve the size by average pooling."""
    return backbone.replace(stem="deep", avg_down=True)


def paddle_dcn(backbone: ResNet.Config) -> ResNet.Config:
    """The backbone with modulated deformable convolution in C3 to C5."""
    return dcn(backbone, version=2)


PADDLE_R50_VD = vd(PADDLE_R50)
PADDLE_R101_VD = vd(PADDLE_R101)
PADDLE_X101_VD_64X4D = PADDLE_R101_VD.replace(groups=64, base_width=4)
PADDLE_R50_DCN, PADDLE_R50_VD_DCN = paddle_dcn(PADDLE_R50), paddle_dcn(PADDLE_R50_VD)
PADDLE_R101_VD_DCN, PADDLE_X101_VD_DCN = paddle_dcn(PADDLE_R101_VD), paddle_dcn(PADDLE_X101_VD_64X4D)
PADDLE_R200_VD_NL = PADDLE_R101_VD_DCN.replace(
    depth=200, plugins=(Plugin(block=NonLocal.Config(), stages=(3,), after="block", every=12),)
)
PADDLE_SE154_VD = SENet.Config(norm_frozen=True, project_first=True)

# an object claims its best anchors, which still learn from the object that they overlap most
PADDLE_RPN = RPN.Config(
    match=MatchConfig(positive=0.7, negative=0.3, low_quality=0.0, claims=False),
    by_samples=True,
    shrink_bound=False,
    min_size=1.0,
    one_of_each=True,
)
PADDLE_BOX_HEAD = BoxHead.Config(shrink_bound=False)

# without a pyramid: the last stage of the network runs on every RoI, in its plain form also in ResNet-vd
C4 = {"strides": (1, 2, 2), "dilations": (1, 1, 1), "out_stages": (3,), "avg_down_stages": (1, 2, 3)}
UNPADDED = Input(multiple=1)
PADDLE_RPN_C4 = PADDLE_RPN.replace(
    channels=1024,
    anchors=Anchors.Config(scales=(2.0, 4.0, 8.0, 16.0, 32.0), ratios_first=False),
    train_candidates=12000,
    train_proposals=2000,
    candidates=6000,
)
PADDLE_BOX_HEAD_C4 = PADDLE_BOX_HEAD.replace(size=14, fcs=0)

CASCADE_HEAD = PADDLE_BOX_HEAD.replace(class_agnostic=True)
CASCADE_STAGES = tuple(
    Stage(match=stage.match, stds=(1 / rate, 1 / rate, 2 / rate, 2 / rate), weight=1 / 3)
    for stage, rate in zip(STAGES, (10, 20, 30), strict=True)
)

# one image on each of eight devices, or two
PADDLE_1X = Schedule(epochs=12, milestones=(8, 11), batch=1, lr=0.01, base_batch=8, warmup_steps=1000, warmup_start=0.1)
PADDLE_2X = PADDLE_1X.replace(epochs=24, milestones=(16, 22))
PAIRS_1X, PAIRS_2X = (schedule.replace(batch=2, lr=0.02, base_batch=16) for schedule in (PADDLE_1X, PADDLE_2X))
# warm-up of the first rows of the static-graph tables
EARLY_1X, EARLY_2X, EARLY_PAIRS_1X, EARLY_PAIRS_2X = (
    schedule.replace(warmup_steps=500, warmup_start=1 / 3) for schedule in (PADDLE_1X, PADDLE_2X, PAIRS_1X, PAIRS_2X)
)
PADDLE_SIZES = tuple((short, 1333) for short in range(640, 801, 32))
# Static-graph releases: offsets of layers of their own learn twice as fast and without weight decay, and later heads
# of a cascade make up for the weights of their losses.
STATIC_GROUPS = (
    *NO_NORM_DECAY,
    ParamGroup(pattern=r"^box_heads\.1\.", of="bias", lr_scale=4.0, weight_decay=0.0),
    ParamGroup(pattern=r"^box_heads\.2\.", of="bias", lr_scale=8.0, weight_decay=0.0),
    ParamGroup(pattern=r"^box_heads\.1\.", lr_scale=2.0),
    ParamGroup(pattern=r"^box_heads\.2\.", lr_scale=4.0),
    ParamGroup(
        pattern=r"(^|\.)(fpn_convs|lateral_convs)\.|^(rpn|box_|mask_)", of="bias", lr_scale=2.0, weight_decay=0.0
    ),
)


STATIC_MODELS = "https://paddlemodels.bj.bcebos.com/object_detection"


def _row(
    name: str,
    weights: str,
    config: str,
    model: Any,
    schedule: Schedule,
    published: Published | None,
    sizes: tuple[tuple[int, int], ...] = (),
) -> Recipe:
    return row(
        name=name,
        model=model,
        data=(COCO_MASKS if "mask" in model.method else COCO).replace(sizes=sizes),
        schedule=schedule,
        init=paddle_init(model.backbone, static=name.startswith("pdold_")),
        published=published,
        weights=weights,
        config=config,
    )


def paddle_row(
    model: Model,
    schedule: Schedule,
    box_ap: float | None = None,
    mask_ap: float | None = None,
    *,
    name: str,
) -> Recipe:
    """A row of a dynamic-graph table, whose pictures are resized bicubically, in training to one of six sizes."""
    of = name.removeprefix("pd_")
    folder = "dcn" if "_dcn_" in of else model.method
    weights = f"https://paddledet.bj.bcebos.com/models/{of}.pdparams"
    published = None if box_ap is None else Published(box_ap=box_ap, mask_ap=mask_ap)
    model = model.replace(input=model.input.replace(interpolation="bicubic"))
    return _row(name, weights, f"configs/{folder}/{of}.yml", model, schedule, published, PADDLE_SIZES)


def static_row(
    model: Model,
    schedule: Schedule,
    box_ap: float,
    mask_ap: float | None = None,
    *,
    name: str,
    fps: float | None = None,
    folder: str | None = None,
) -> Recipe:
    """A row of a static-graph table; its config may be in a ``folder``, which for deformable convolution is ``dcn``."""
    of, folder = _static(name, folder)
    weights = f"{STATIC_MODELS}/{of}.tar"
    published = Published(box_ap=box_ap, mask_ap=mask_ap, fps=fps)
    schedule = schedule.replace(
        groups=STATIC_GROUPS if "cascade" in model.method else (STATIC_GROUPS[0], STATIC_GROUPS[-1])
    )
    return _row(name, weights, f"release/0.2:configs/{folder}{of}.yml", model, schedule, published)


def static_dense(
    model: Any,
    data: Data,
    schedule: Schedule,
    box_ap: float,
    *,
    name: str,
    fps: float | None = None,
    folder: str | None = None,
    weights: str | None = None,
    init: Init | None = None,
) -> Recipe:
    """A row of a one-stage method in a static-graph table; ``weights``, the file of others than the name says."""
    of, folder = _static(name, folder)
    return row(
        name=name,
        model=model,
        data=data,
        schedule=schedule,
        init=init or paddle_init(model.backbone, static=True),
        published=Published(box_ap=box_ap, fps=fps),
        weights=f"{STATIC_MODELS}/{weights or of}.tar",
        config=f"release/0.2:configs/{folder}{of}.yml",
    )


def _static(name: str, folder: str | None) -> tuple[str, str]:
    """What a config is called, and its folder."""
    of = name.removeprefix("pdold_").partition("__")[0]
    return of, ("dcn/" if "_dcn" in of else "") if folder is None else folder


def paddle_faster(backbone: AnyBackbone) -> FasterRCNN.Config:
    """Faster R-CNN on a pyramid."""
    return FasterRCNN.Config(backbone=backbone, rpn=PADDLE_RPN, box_head=PADDLE_BOX_HEAD)


def paddle_mask(backbone: AnyBackbone) -> MaskRCNN.Config:
    """Mask R-CNN on a pyramid."""
    return MaskRCNN.Config(backbone=backbone, rpn=PADDLE_RPN, box_head=PADDLE_BOX_HEAD)


ON_C4: dict[str, Any] = {
    "input": UNPADDED,
    "neck": NoNeck.Config(),
    "rpn": PADDLE_RPN_C4,
    "box_head": PADDLE_BOX_HEAD_C4,
    "roi_levels": 1,
    "roi_stage": True,
}


def paddle_faster_c4(backbone: ResNet.Config) -> FasterRCNN.Config:
    """Faster R-CNN on C4."""
    return FasterRCNN.Config(**ON_C4, backbone=backbone.replace(**C4))


def paddle_mask_c4(backbone: ResNet.Config) -> MaskRCNN.Config:
    """Mask R-CNN on C4."""
    return MaskRCNN.Config(**ON_C4, backbone=backbone.replace(**C4), mask_head=MaskHead.Config(size=7, convs=0))


def paddle_cascade(backbone: ResNet.Config) -> CascadeRCNN.Config:
    """Cascade R-CNN on a pyramid."""
    return CascadeRCNN.Config(
        backbone=backbone,
        rpn=PADDLE_RPN.replace(train_proposals=2000),
        box_head=CASCADE_HEAD,
        stages=CASCADE_STAGES,
        averaged="probabilities",
        objects_once=True,
    )


# Static-graph releases: boxes end with their last pixel, which is one pixel more everywhere; proposals reach into the
# padding, and detections are found in pixels of the file.
STATIC_ROIS = Unaligned.Config(last_pixel=True)
STATIC_RPN = RPN.Config(
    anchors=Anchors.Config(classic=True),
    border=0.0,
    box_loss=BoxLoss(kind="smooth_l1", beta=1 / 9),
    shrink_bound=False,
    whole_canvas=True,
    train_proposals=2000,
)
STATIC_BOX_HEAD = BoxHead.Config(
    extractor=STATIC_ROIS, sampling=2, box_loss=BoxLoss(kind="smooth_l1"), shrink_bound=False, in_files=True
)
STATIC_STAGES = tuple(
    stage.replace(weight=weight) for stage, weight in zip(CASCADE_STAGES, (1.0, 0.5, 0.25), strict=True)
)

STATIC_MASK_HEAD = MaskHead.Config(extractor=STATIC_ROIS, sampling=2)
STATIC_C4 = {**C4, "avg_down_stages": (1, 2, 3, 4)}  # the stage on RoIs is of the backbone's form, too
STATIC_RPN_C4 = STATIC_RPN.replace(
    channels=1024,
    anchors=Anchors.Config(scales=(2.0, 4.0, 8.0, 16.0, 32.0), classic=True),
    train_candidates=12000,
    candidates=6000,
)
STATIC_BOX_HEAD_C4 = STATIC_BOX_HEAD.replace(size=14, sampling=0, fcs=0)
STATIC_CASCADE_HEAD = STATIC_BOX_HEAD.replace(class_agnostic=True)
STATIC_GN = {"convs": 4, "fcs": 1, "norm": "gn"}
SOFT = {"soft_nms": SoftNMS(method="gaussian", min_score=0.01), "threshold": 0.01, "detections": 300}


def static_faster(backbone: AnyBackbone, gn: bool = False) -> FasterRCNN.Config:
    """Faster R-CNN on a pyramid, of a static-graph release; ``gn``: neck and head with group normalization."""
    return FasterRCNN.Config(
        backbone=backbone,
        neck=GN_FPN if gn else FPN.Config(),
        rpn=STATIC_RPN,
        box_head=STATIC_BOX_HEAD.replace(**STATIC_GN) if gn else STATIC_BOX_HEAD,
    )


def static_mask(backbone: AnyBackbone, gn: bool = False) -> MaskRCNN.Config:
    """Mask R-CNN on a pyramid, of a static-graph release; ``gn``: neck and heads with group normalization."""
    return MaskRCNN.Config(
        backbone=backbone,
        neck=GN_FPN if gn else FPN.Config(),
        rpn=STATIC_RPN,
        box_head=STATIC_BOX_HEAD.replace(**STATIC_GN) if gn else STATIC_BOX_HEAD,
        mask_head=STATIC_MASK_HEAD.replace(norm="gn") if gn else STATIC_MASK_HEAD,
    )


def static_faster_c4(backbone: ResNet.Config) -> FasterRCNN.Config:
    """Faster R-CNN on C4, of a static-graph release."""
    return paddle_faster_c4(backbone).replace(
        backbone=backbone.replace(**STATIC_C4), rpn=STATIC_RPN_C4, box_head=STATIC_BOX_HEAD_C4
    )


def static_mask_c4(backbone: ResNet.Config) -> MaskRCNN.Config:
    """Mask R-CNN on C4, of a static-graph release."""
    return paddle_mask_c4(backbone).replace(
        backbone=backbone.replace(**STATIC_C4), rpn=STATIC_RPN_C4, box_head=STATIC_BOX_HEAD_C4
    )


def static_cascade(backbone: ResNet.Config | CBNet.Config | SENet.Config) -> CascadeRCNN.Config:
    """Cascade R-CNN on a pyramid, of a static-graph release: all heads score the last boxes."""
    return CascadeRCNN.Config(
        backbone=backbone,
        rpn=STATIC_RPN,
        box_head=STATIC_CASCADE_HEAD,
        stages=STATIC_STAGES,
        averaged="last_boxes",
        objects_once=True,
    )


def static_class_aware(backbone: ResNet.Config) -> CascadeRCNN.Config:
    """Cascade R-CNN with a box for each class, of a static-graph release: later stages count for more."""
    return static_cascade(backbone).replace(
        box_head=STATIC_BOX_HEAD.replace(size=14), averaged="probabilities", shares=(0.2, 0.3, 0.5)
    )


def static_cascade_mask(backbone: ResNet.Config | SENet.Config, gn: bool = False) -> CascadeMaskRCNN.Config:
    """Cascade Mask R-CNN on a pyramid, of a static-graph release; ``gn``: with group normalization, and then the
    stages share the layers of their heads."""
    return CascadeMaskRCNN.Config(
        backbone=backbone,
        neck=GN_FPN if gn else FPN.Config(),
        rpn=STATIC_RPN,
        box_head=STATIC_CASCADE_HEAD.replace(**STATIC_GN) if gn else STATIC_CASCADE_HEAD,
        mask_head=STATIC_MASK_HEAD.replace(weight=4.0, norm="gn" if gn else None),
        one_mask_head=True,
        mask_stage=2,
        stages=STATIC_STAGES,
        averaged="last_boxes",
        objects_once=True,
        shared_layers=gn,
    )
