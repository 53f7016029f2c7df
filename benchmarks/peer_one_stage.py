"""torchvision's one-stage detectors beside ours: the same architecture, the same weights, the same settings.

RetinaNet and FCOS on ResNet-FPN, with fixed batch normalization and a frozen stem and first stage, and SSD300 on
VGG-16, of which nothing is frozen. Weights are random, but scaled so that a picture gives about as many candidates as
trained weights give, and copied from torchvision's model into ours, so that both have the same things to find.

What still differs:

- RetinaNet: torchvision rounds its anchors, so boxes differ slightly.
- FCOS: ours is set to torchvision's variant of the revised paper (centre sampling, generalized IoU, distances in
  strides, centerness beside the distances). torchvision's cells are moved to ours, half a stride further and the true
  stride apart; this is an argument of its constructor. Its score is the root of class score times centerness, and has
  to pass 0.2; ours is the product, of which the class score alone has to pass 0.04. Centerness is close to 1 at the
  start, so that both find the same boxes. Ours weighs the box loss by centerness, the other losses are equal, and it
  has a learned scale per level, here 1, that torchvision has not. Of the objects around a cell both take the smallest;
  torchvision's areas are exact to 8 pixels.
- SSD: torchvision keeps candidates by class, ours by map; both limits are too high to matter. Its default boxes are as
  large as a share of the picture: results and losses are equal on pictures of 300 x 300. Of default boxes that are
  equally good for an object, and not good enough, rounding chooses the one that learns it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS as TheirFCOS
from torchvision.models.detection import RetinaNet as TheirRetinaNet
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from benchmarks.torchvision_side import CLASSES, RESNET_FPN, Torchvision, background_last, damp, outputs, rename
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.losses import BoxLoss
from detzoo.detector import Detector
from detzoo.methods.fcos import FCOS
from detzoo.methods.retinanet import RetinaNet
from detzoo.methods.ssd import SSD
from detzoo.necks.fpn import FPN

METHODS = ("retinanet", "fcos", "ssd")
STRIDES = (8, 16, 32, 64, 128)
SSD_MEAN = (0.48235, 0.45882, 0.40784)  # of torchvision's input, from 0 to 1
THRESHOLDS = {"retinanet": 0.05, "fcos": 0.04, "ssd": 0.02}  # least class score of a candidate


class Cells(AnchorGenerator):
    """A square in the middle of every cell, as large as the cell: FCOS's points in torchvision's terms."""

    def __init__(self) -> None:
        super().__init__(tuple((stride,) for stride in STRIDES), ((1.0,),) * len(STRIDES))

    def grid_anchors(self, grid_sizes: list[list[int]], strides: list[list[Tensor]]) -> list[Tensor]:
        true = [[torch.tensor(stride)] * 2 for stride in STRIDES]
        levels = super().grid_anchors(grid_sizes, true)
        return [level + stride / 2 for level, stride in zip(levels, STRIDES, strict=True)]


def theirs(method: str, size: tuple[int, int], depth: int = 50, proposals: int = 1000, rois: int = 512) -> Torchvision:
    """torchvision's, with random weights; arguments as `benchmarks.peers.make_pair`, the last two without use."""
    if method == "ssd":
        limits = {"score_thresh": THRESHOLDS[method], "topk_candidates": 1000}
        model = ssd300_vgg16(weights_backbone=None, num_classes=CLASSES + 1, _skip_resize=True, **limits)
        model.anchor_generator.clip = False
        return Torchvision(method, model.train(), background_first=True)
    # the pictures have the network's size: nobody resizes
    settings: dict[str, Any] = {"min_size": min(size), "max_size": max(size), "_skip_resize": True}
    settings |= {"detections_per_img": 100}
    body = {"backbone_name": f"resnet{depth}", "weights": None, "trainable_layers": 3}
    backbone = resnet_fpn_backbone(**body, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
    if method == "fcos":
        settings |= {"anchor_generator": Cells(), "score_thresh": THRESHOLDS[method] ** 0.5}
        return Torchvision(method, TheirFCOS(backbone, CLASSES + 1, **settings), background_first=False)
    return Torchvision(method, TheirRetinaNet(backbone, CLASSES + 1, **settings), background_first=False)


def ours(method: str, depth: int = 50, proposals: int = 1000, rois: int = 512) -> Detector:
    """Ours, with random weights; arguments as `theirs`."""
    names = [str(label) for label in range(CLASSES + 1)]
    if method == "ssd":
        red, green, blue = SSD_MEAN
        given = SSD.Config().input.replace(mean=(255 * red, 255 * green, 255 * blue))
        head = SSD.Head(threshold=THRESHOLDS[method])
        return SSD(SSD.Config(input=given, head=head), names[:CLASSES])
    backbone = ResNet.Config(depth=cast(Any, depth), norm_frozen=True)
    neck = FPN.Config(start=1, extra="on_output", relu_before_extra=True)
    if method == "retinanet":
        return RetinaNet(RetinaNet.Config(backbone=backbone, neck=neck), names)
    variant = {"bias": True, "in_strides": True, "centerness_on_reg": True, "radius": 1.5, "nms": 0.6}
    head = FCOS.Head(**variant, box_loss=BoxLoss(kind="giou"), threshold=THRESHOLDS[method])
    return FCOS(FCOS.Config(backbone=backbone, neck=neck, head=head), names)


@torch.no_grad()
def scale(side: Torchvision, pictures: Tensor, wanted: int = 1000) -> None:
    """Scale random weights to the activations and number of candidates of trained ones.

    The residual branches of a ResNet are damped; then the classifier is changed until ``wanted`` (box, class) pairs of
    a picture pass the score threshold.
    """
    threshold = THRESHOLDS[side.method]
    if side.method == "ssd":
        _scale_softmax(side, pictures, wanted, threshold)
        return
    damp(side.model)
    layer = side.model.head.classification_head.cls_logits
    flat = torch.cat([(level - layer.bias[:, None, None]).flatten() for level in outputs(side, [layer], pictures)])
    gap = torch.logit(torch.tensor(threshold)) - layer.bias[0]
    layer.weight.mul_(gap / flat.topk(wanted).values[-1])
    if side.method == "fcos":
        # of boxes without width or height, which a distance of zero may give, torchvision has detections and ours none
        nn.init.constant_(side.model.head.regression_head.bbox_reg.bias, 2.0)
        nn.init.constant_(side.model.head.regression_head.bbox_ctrness.bias, 8.0)


def _scale_softmax(side: Torchvision, pictures: Tensor, wanted: int, threshold: float) -> None:
    """Logits of every map get a deviation of 1; then the bias of the background takes its share of the scores."""
    layers = list(side.model.head.classification_head.module_list)
    logits = []
    for layer, level in zip(layers, outputs(side, layers, pictures), strict=True):
        layer.weight.div_(level.std())
        logits.append((level / level.std()).unflatten(1, (-1, CLASSES + 1)).transpose(1, 2).flatten(2))
    background, others = torch.cat(logits, 2).double().split((1, CLASSES), 1)
    # exp(other) / (exp(background + bias) + sum of exp(others)) passes the threshold where the bias is below this
    room = others.exp() / threshold - others.exp().sum(1, keepdim=True)
    most = room.clamp(min=1e-9).log() - background
    bias = most.flatten().topk(wanted).values[-1]
    for layer in layers:
        layer.bias.unflatten(0, (-1, CLASSES + 1))[:, 0] = bias


_TOWERS = (
    (r"^head\.classification_head\.conv\.(\d)\.0\.", r"cls_convs.\1.conv."),
    (r"^head\.classification_head\.cls_logits\.", "cls."),
    (r"^head\.regression_head\.conv\.(\d)\.0\.", r"reg_convs.\1.conv."),
    (r"^head\.regression_head\.bbox_reg\.", "reg."),
)
_CENTERNESS = ((r"^head\.regression_head\.bbox_ctrness\.", "centerness."),)
# a convolution, its normalization and a ReLU stand one after the other in torchvision's towers
_NORMED = tuple(
    (rf"^head\.{head}\.conv\.{3 * index + place}\.", f"{convs}.{index}.{part}.")
    for head, convs in (("classification_head", "cls_convs"), ("regression_head", "reg_convs"))
    for index in range(4)
    for place, part in enumerate(("conv", "gn"))
)
_SSD = (
    (r"^backbone\.features\.", "backbone.features."),
    (r"^backbone\.scale_weight$", "neck.l2_norm.weight"),
    *((rf"^backbone\.extra\.0\.{index}\.", f"backbone.features.{23 + index}.") for index in (1, 3, 5)),
    (r"^backbone\.extra\.0\.7\.1\.", "backbone.features.31."),
    (r"^backbone\.extra\.0\.7\.3\.", "backbone.features.33."),
    *(
        (rf"^backbone\.extra\.{index + 1}\.{2 * place}\.", f"neck.extra_layers.{index}.{place}.conv.")
        for index in range(4)
        for place in range(2)
    ),
    (r"^head\.classification_head\.module_list\.", "cls."),
    (r"^head\.regression_head\.module_list\.", "reg."),
)
_NAMES = {
    "retinanet": (*RESNET_FPN, *_TOWERS),
    "fcos": (*RESNET_FPN, *_NORMED, *_TOWERS, *_CENTERNESS),
    "ssd": _SSD,
}


def translate(state: dict[str, Tensor], method: str) -> dict[str, Tensor]:
    """torchvision's weights under our names; SSD's background moves to the last class, FCOS's scales are 1.

    Raises:
        ValueError: there is a parameter that has no name here.
    """
    translated = rename(state, method, _NAMES[method])
    if method == "fcos":
        translated |= {f"scales.{level}": torch.ones(()) for level in range(len(STRIDES))}
    if method == "ssd":
        for name in [name for name in translated if name.startswith("cls.")]:
            values = translated[name]
            translated[name] = background_last(values, len(values) // (CLASSES + 1))
    return translated
