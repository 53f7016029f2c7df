"""torchvision's two-stage detectors beside ours: the same architecture, the same weights, the same settings.

Faster R-CNN and Mask R-CNN on ResNet-FPN. Batch normalization is fixed and the stem and first stage are frozen on both
sides. Weights are random, but scaled so that a picture gives about as many candidates as trained weights give, and
copied from torchvision's model into ours, so that both have the same things to find.

What still differs: torchvision rounds its anchors and pools without the half-pixel shift, so boxes differ slightly; the
training steps draw their random samples apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN as TheirFasterRCNN
from torchvision.models.detection import MaskRCNN as TheirMaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from benchmarks.scenes import OBJECTS, Item, objects_at
from benchmarks.torchvision_side import CLASSES, RESNET_FPN, Torchvision, background_last, damp, outputs, rename
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN

METHODS = ("faster_rcnn", "mask_rcnn")


def theirs(method: str, size: tuple[int, int], depth: int = 50, proposals: int = 1000, rois: int = 512) -> Torchvision:
    """torchvision's, with random weights; arguments as `benchmarks.peers.make_pair`."""
    # the pictures have the network's size: nobody resizes
    settings: dict[str, Any] = {"min_size": min(size), "max_size": max(size), "_skip_resize": True}
    settings |= {"rpn_post_nms_top_n_train": proposals, "rpn_post_nms_top_n_test": proposals}
    settings |= {"box_batch_size_per_image": rois}
    backbone = resnet_fpn_backbone(backbone_name=f"resnet{depth}", weights=None, trainable_layers=3)
    kind = TheirFasterRCNN if method == "faster_rcnn" else TheirMaskRCNN
    return Torchvision(method, kind(backbone, CLASSES + 1, **settings), background_first=True)


def ours(method: str, depth: int = 50, proposals: int = 1000, rois: int = 512) -> Detector:
    """Ours, with random weights; arguments as `benchmarks.peers.make_pair`."""
    backbone = ResNet.Config(depth=cast(Any, depth), norm_frozen=True)
    rpn = RPN.Config(train_proposals=proposals, proposals=proposals)
    box_head = BoxHead.Config(sampling=2, samples=rois)
    names = [str(label) for label in range(CLASSES)]
    if method == "faster_rcnn":
        return FasterRCNN(FasterRCNN.Config(backbone=backbone, rpn=rpn, box_head=box_head), names)
    mask_head = MaskHead.Config(sampling=2)
    return MaskRCNN(MaskRCNN.Config(backbone=backbone, rpn=rpn, box_head=box_head, mask_head=mask_head), names)


@torch.no_grad()
def make_proposed_objects(side: Torchvision, pictures: Tensor, seed: int = 0) -> list[Item]:
    """As `make_objects`, but the boxes are proposals of torchvision's model, picked at random.

    A trained first stage proposes several boxes around every object. A random one does so, too, if the objects are
    where it proposes boxes.
    """
    draw = torch.Generator().manual_seed(seed)
    size = (pictures.shape[-2], pictures.shape[-1])
    model = side.model.eval()
    items = []
    for picture in pictures:
        images, _ = model.transform([picture / 255])
        proposals = model.rpn(images, model.backbone(images.tensors))[0][0]
        large = proposals[(proposals[:, 2:] - proposals[:, :2]).amin(1) >= 16]
        items.append(objects_at(large[torch.randperm(len(large), generator=draw)[:OBJECTS]], size, CLASSES, draw))
    model.train()
    return items


@torch.no_grad()
def scale(side: Torchvision, pictures: Tensor, wanted: int = 1000) -> None:
    """Scale random weights to the activations and number of candidates of trained ones.

    Residual branches are damped; then the classifier's weights grow until ``wanted`` (box, class) pairs of a picture
    pass the score threshold of 0.05.
    """
    damp(side.model)
    layer = side.model.roi_heads.box_predictor.cls_score
    (logits,) = outputs(side, [layer], pictures)
    factor = _root(lambda f: int(((logits * f).softmax(-1)[:, 1:] > 0.05).sum()), wanted)
    layer.weight.mul_(factor)
    layer.bias.mul_(factor)


def _root(count: Callable[[float], int], wanted: int) -> float:
    """The least factor, to within a hundredth, for which ``count`` reaches ``wanted``."""
    factor = 1.0
    while count(factor) < wanted and factor < 1e4:
        factor *= 1.01
    return factor


_NAMES = (
    *RESNET_FPN,
    (r"^rpn\.head\.conv\.0\.0\.", "rpn.conv."),
    (r"^rpn\.head\.cls_logits\.", "rpn.cls."),
    (r"^rpn\.head\.bbox_pred\.", "rpn.reg."),
    (r"^roi_heads\.box_head\.fc6\.", "box_head.shared_fcs.0."),
    (r"^roi_heads\.box_head\.fc7\.", "box_head.shared_fcs.1."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "box_head.fc_cls."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "box_head.fc_reg."),
    (r"^roi_heads\.mask_head\.(\d)\.0\.", r"mask_head.convs.\1.conv."),
    (r"^roi_heads\.mask_predictor\.conv5_mask\.", "mask_head.upsample."),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask_head.conv_logits."),
)


def translate(state: dict[str, Tensor], method: str) -> dict[str, Tensor]:
    """torchvision's weights under our names; background moves from the first class to the last.

    Raises:
        ValueError: there is a parameter that has no name here.
    """
    translated = rename(state, method, _NAMES)
    for name, value in translated.items():
        if name.startswith("box_head.fc_cls"):
            translated[name] = background_last(value)
        elif name.startswith("box_head.fc_reg"):
            translated[name] = value[4:]
        elif name.startswith("mask_head.conv_logits"):
            translated[name] = value[1:]
    return translated
