"""`row`, a row of a published table, and its columns: backbones, inputs, data and schedules that many rows share."""

from __future__ import annotations

import re
from typing import Literal

from detzoo.backbones.any_backbone import AnyBackbone
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.context_block import ContextBlock
from detzoo.blocks.layers import Deform
from detzoo.blocks.plugins import Plugin
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.detector import Input
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.necks.fpn import FPN
from detzoo.recipes.augment import CenterCropPad, Choice, Crop, Distort, Expand, Flip, IoUCrop, Resize
from detzoo.recipes.initial import usual_init
from detzoo.recipes.recipe import Init, Model, Published, Recipe, Weights, method_with
from detzoo.recipes.settings import Data, ParamGroup, Schedule, Split

R18 = ResNet.Config(depth=18)
R34 = ResNet.Config(depth=34)
R50 = ResNet.Config(depth=50)
R101 = ResNet.Config(depth=101)
X50_32X4D = ResNet.Config(depth=50, groups=32, base_width=4)
X101_32X4D = ResNet.Config(depth=101, groups=32, base_width=4)
X101_64X4D = ResNet.Config(depth=101, groups=64, base_width=4)
# converted from Caffe2, whose normalization layers were not trained further
X101_32X8D = ResNet.Config(depth=101, groups=32, base_width=8, norm_frozen=True)

RGB = Input()
BGR = Input(order="bgr", mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0))  # of the caffe-style backbones
BGR_DETECTRON = Input(order="bgr", mean=(102.9801, 115.9465, 122.7717), std=(1.0, 1.0, 1.0))
BGR_STD = Input(order="bgr", mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))  # of X101_32X8D


def caffe(backbone: ResNet.Config) -> ResNet.Config:
    """The backbone in caffe style: stride in the first 1x1, normalization layers not trained. Its input is `BGR`."""
    return backbone.replace(style="caffe", norm_frozen=True)


def dcn(backbone: ResNet.Config, version: Literal[1, 2] = 1, groups: int = 1) -> ResNet.Config:
    """The backbone with deformable convolution in C3 to C5."""
    return backbone.replace(deform=Deform(version=version, groups=groups))


def sync_bn(backbone: ResNet.Config) -> ResNet.Config:
    """The backbone with batch normalization whose statistics go on learning, of all devices together."""
    return backbone.replace(norm_eval=False)


def gcb(backbone: ResNet.Config, reduction: int) -> ResNet.Config:
    """The backbone with global context blocks in C3 to C5, whose transform has that part of the channels."""
    return backbone.replace(plugins=(Plugin(block=ContextBlock.Config(ratio=1 / reduction)),))


# the published Mask R-CNNs give every object its best proposal, if its IoU is 0.5 or more
MASK_BOX_HEAD = BoxHead.Config(match=MatchConfig(low_quality=0.5))


def mask_rcnn(backbone: AnyBackbone = R50, input: Input = RGB) -> MaskRCNN.Config:
    """Mask R-CNN with this backbone and its input."""
    return MaskRCNN.Config(input=input, backbone=backbone, box_head=MASK_BOX_HEAD)


GN_FPN = FPN.Config(norm="gn")
GN_BOX_HEAD = BoxHead.Config(convs=4, fcs=1, norm="gn")
GN_MASK_BOX_HEAD = GN_BOX_HEAD.replace(match=MASK_BOX_HEAD.match)
GN_MASK_HEAD = MaskHead.Config(norm="gn")


def gn(backbone: ResNet.Config) -> ResNet.Config:
    """The backbone with group normalization."""
    return backbone.replace(norm="gn")


COCO = Data(
    root="data/coco",
    train=(Split(annotations="annotations/instances_train2017.json", images="train2017"),),
    val=(Split(annotations="annotations/instances_val2017.json", images="val2017"),),
)
COCO_MASKS = COCO.replace(masks=True)
# with class maps of things and stuff beside the training images; see docs/data.md
COCO_STUFF = COCO_MASKS.replace(train=(COCO.train[0].replace(semantic="stuffthingmaps/train2017"),))


def row(
    *,
    name: str,
    model: Model,
    data: Data | None = None,
    schedule: Schedule,
    init: Init | Literal["usual"] | None = "usual",
    published: Published | None = None,
    weights: str | None = None,
    config: str | None,
) -> Recipe:
    """A row of a published table, which says what is not as in most rows.

    Args:
        name: what the recipe is called.
        model: settings of the method.
        data: what it was trained on; None: COCO, with masks and with class maps where the method learns them.
        schedule: how it was trained.
        init: what training starts from; usual: the weights that `usual_init` knows for the backbone; None: random ones.
        published: the table's numbers.
        weights: address of the trained weights, with the hash in it, as of `torch.hub`.
        config: path of the original framework's config file; None: none was published.

    Raises:
        ValueError: ``init`` is not said, and no weights are usual for the backbone.
    """
    if data is None:
        data = COCO_MASKS if method_with(model).learns_masks else COCO
        data = COCO_STUFF if model.learns_class_maps else data
    return Recipe(
        name=name,
        model=model,
        data=data,
        schedule=schedule,
        init=usual_init(model.backbone) if init == "usual" else init,
        published=published,
        weights=None if weights is None else Weights(url=weights, sha256=_hash(weights)),
        config=config,
    )


def whole_detector(weights: str) -> Init:
    """The ``weights`` of a row, to start all of another detector from."""
    return Init(url=weights, sha256=_hash(weights), prefixes=("",))


def _hash(url: str) -> str | None:
    marked = re.search(r"-([0-9a-f]{8})\.pth$", url)
    return marked and marked[1]


def multi_scale(data: Data) -> Data:
    """Training images with a short edge of 640, 672, 704, 736, 768 or 800 pixels."""
    return data.replace(sizes=((640, 1333), (672, 1333), (704, 1333), (736, 1333), (768, 1333), (800, 1333)))


def multi_scale_range(data: Data, least: int = 640, most: int = 800) -> Data:
    """Training images with a short edge between ``least`` and ``most`` pixels."""
    return data.replace(sizes=((least, 1333), (most, 1333)), size_mode="range")


def multi_scale_repeated(data: Data) -> Data:
    """`multi_scale_range` with three passes over the images to an epoch."""
    return multi_scale_range(data).replace(repeat=3)


# lr is that of two-stage methods at 8 x 2 images
SCHEDULE_1X = Schedule(epochs=12, milestones=(8, 11), lr=0.02)
SCHEDULE_1X_CLIPPED = SCHEDULE_1X.replace(clip_norm=35.0)
SCHEDULE_1X_SYNCED = SCHEDULE_1X.replace(sync_bn=True)  # batch normalization over all devices
SCHEDULE_20E = Schedule(epochs=20, milestones=(16, 19), lr=0.02)
SCHEDULE_2X = Schedule(epochs=24, milestones=(16, 22), lr=0.02)
SCHEDULE_3X = Schedule(epochs=36, milestones=(28, 34), lr=0.02)
SCHEDULE_3X_REPEATED = Schedule(epochs=12, milestones=(9, 11), lr=0.02)  # for `multi_scale_repeated`
# of one-stage methods
DENSE_1X, DENSE_2X, DENSE_3X = (one.replace(lr=0.01) for one in (SCHEDULE_1X, SCHEDULE_2X, SCHEDULE_3X))
DENSE_1X_CLIPPED = DENSE_1X.replace(clip_norm=35.0)

# weight decay spares scales and offsets of normalization layers
NO_NORM_DECAY = (ParamGroup(of="norm", weight_decay=0.0),)

# What is done to training pictures beyond a resize and a flip, as `Data.augment`. Where a `Resize` has no sizes of its
# own they are those of the model's input, or `Data.sizes`.
#
# The published models were distorted in float32; here colours are rounded to grey levels again. Where a crop is to hold
# an object and does not, another is drawn, where the published training took another picture.
SSD_AUGMENT = (Expand(), IoUCrop(), Resize(), Flip(), Distort())
YOLO_AUGMENT = (Expand(ratio=(1.0, 2.0)), IoUCrop(min_ious=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9)), Resize(), Flip(), Distort())
CORNERNET_AUGMENT = (Distort(), CenterCropPad(), Resize(sizes=((511, 511),), keep_ratio=False), Flip())

DETR_SIZES = (
    (480, 1333),
    (512, 1333),
    (544, 1333),
    (576, 1333),
    (608, 1333),
    (640, 1333),
    (672, 1333),
    (704, 1333),
    (736, 1333),
    (768, 1333),
    (800, 1333),
)


def crop_first(long: int) -> Choice:
    """A resize; or, as often, a crop of the picture at a short edge of 400 to 600 pixels, and then the resize."""
    smaller = Resize(sizes=((400, long), (500, long), (600, long)))
    crop = Crop(size=(384, 600), mode="pixels_range", allow_empty=True)
    return Choice(options=((Resize(),), (smaller, crop, Resize())))


DETR_AUGMENT = (Flip(), crop_first(1333))  # also of Sparse R-CNN
DEFORMABLE_DETR_AUGMENT = (Flip(), crop_first(4200))
