"""torchvision's detectors beside ours: the same architecture, the same weights, the same settings.

Faster R-CNN, Mask R-CNN and RetinaNet on ResNet-FPN. Batch normalization is fixed and the stem and first stage are
frozen on both sides. Weights are random, but scaled so that a picture gives about as many candidates as trained weights
give, and copied from torchvision's model into ours, so that both have the same things to find.

What still differs: torchvision rounds its anchors and pools without the half-pixel shift, so boxes differ slightly; the
training steps draw their random samples apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TheirFasterRCNN
from torchvision.models.detection import MaskRCNN as TheirMaskRCNN
from torchvision.models.detection import RetinaNet as TheirRetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.fpn import FPN
from detzoo.types import Images, Targets

METHODS = ("faster_rcnn", "mask_rcnn", "retinanet")
CLASSES = 90  # COCO's category ids, as torchvision counts them
OBJECTS = 64  # per training image: enough that both mask heads learn from as many RoIs as they may


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and torchvision's model of one method, with the same weights."""

    method: str
    ours: Detector
    theirs: nn.Module


def make_pair(
    method: str, size: tuple[int, int], depth: int = 50, seed: int = 0, proposals: int = 1000, rois: int = 512
) -> Pair:
    """Both models of ``method`` in training mode, scaled to find objects on pictures of ``size`` (height, width).

    Args:
        method: one of `METHODS`.
        size: of the pictures, in pixels.
        depth: of the ResNet.
        seed: of the random weights.
        proposals: per picture, from the first stage to the second.
        rois: per picture that the second stage learns from.
    """
    torch.manual_seed(seed)
    theirs = their_model(method, size, depth, proposals, rois)
    _scale(theirs, make_pictures(1, size, seed))
    ours = our_model(method, depth, proposals, rois)
    load(ours, method, theirs.state_dict())
    return Pair(method, ours, theirs)


def load(ours: Detector, method: str, state: dict[str, Tensor]) -> None:
    """Load the weights of torchvision's model into ours.

    Raises:
        ValueError: they do not correspond.
    """
    left = ours.load_state_dict(_translate(state, method), strict=False)
    if left.unexpected_keys or not all(name.endswith("num_batches_tracked") for name in left.missing_keys):
        raise ValueError(f"{method}: the two models differ: {left}")


def make_pictures(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """uint8 RGB ``[count, 3, H, W]``: random blobs of every scale."""
    draw = torch.Generator().manual_seed(seed)
    picture = torch.zeros(count, 3, *size)
    for scale in (4, 16, 64, 256):
        cells = [max(1, edge // scale) for edge in size]
        noise = torch.rand(count, 3, *cells, generator=draw)
        picture += nn.functional.interpolate(noise, size=size, mode="bilinear")
    return (picture * (255 / 4)).to(torch.uint8)


def make_objects(count: int, size: tuple[int, int], seed: int = 0) -> list[dict[str, Tensor]]:
    """Per picture `OBJECTS` boxes, a twentieth to a half of its edges long, 0-based labels and elliptic masks."""
    draw = torch.Generator().manual_seed(seed)
    height, width = size
    edges = torch.tensor([width, height, width, height], dtype=torch.float32)
    items = []
    for _ in range(count):
        half = torch.rand(OBJECTS, 2, generator=draw).square() * 0.2 + 0.025
        centre = torch.rand(OBJECTS, 2, generator=draw) * (1 - 2 * half) + half
        items.append(_object(torch.cat([centre - half, centre + half], 1) * edges, size, draw))
    return items


@torch.no_grad()
def make_proposed_objects(theirs: nn.Module, pictures: Tensor, seed: int = 0) -> list[dict[str, Tensor]]:
    """As `make_objects`, but the boxes are proposals of torchvision's two-stage model, picked at random.

    A trained first stage proposes several boxes around every object. A random one does so, too, if the objects are
    where it proposes boxes.
    """
    draw = torch.Generator().manual_seed(seed)
    size = (pictures.shape[-2], pictures.shape[-1])
    model: Any = theirs.eval()
    items = []
    for picture in pictures:
        images, _ = model.transform([picture / 255])
        proposals = model.rpn(images, model.backbone(images.tensors))[0][0]
        large = proposals[(proposals[:, 2:] - proposals[:, :2]).amin(1) >= 16]
        items.append(_object(large[torch.randperm(len(large), generator=draw)[:OBJECTS]], size, draw))
    model.train()
    return items


def _object(boxes: Tensor, size: tuple[int, int], draw: torch.Generator) -> dict[str, Tensor]:
    y, x = torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5
    middle, radius = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    across = ((x - middle[:, :1]) / radius[:, :1]).square()
    down = ((y - middle[:, 1:]) / radius[:, 1:]).square()
    labels = torch.randint(0, CLASSES, (len(boxes),), generator=draw)
    return {"boxes": boxes, "labels": labels, "masks": down[:, :, None] + across[:, None, :] <= 1}


def pad(pixels: Tensor, multiple: int = 32) -> Tensor:
    """``[N, C, H, W]`` with zeros at right and bottom up to a multiple."""
    height, width = pixels.shape[-2:]
    return nn.functional.pad(pixels, (0, -width % multiple, 0, -height % multiple))


def our_images(detector: Detector, pictures: Tensor) -> Images:
    """Network input from uint8 pictures."""
    sizes = torch.tensor([pictures.shape[-2:]] * len(pictures), device=pictures.device)
    return detector.normalize(pad(pictures), sizes)


def our_targets(method: str, items: list[dict[str, Tensor]]) -> Targets:
    """Targets on the padded canvas; masks only where the method learns them."""
    keys = ("boxes", "labels", "masks") if method == "mask_rcnn" else ("boxes", "labels")
    return Targets.pack([{key: pad(item[key]) if key == "masks" else item[key] for key in keys} for item in items])


def their_targets(method: str, items: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    """The same objects as torchvision takes them: class 0 is background, except in RetinaNet."""
    shift = 0 if method == "retinanet" else 1
    targets = [{"boxes": item["boxes"], "labels": item["labels"] + shift} for item in items]
    if method == "mask_rcnn":
        for target, item in zip(targets, items, strict=True):
            target["masks"] = item["masks"].to(torch.uint8)
    return targets


def our_model(method: str, depth: int = 50, proposals: int = 1000, rois: int = 512) -> Detector:
    """Ours, with random weights; arguments as `make_pair`."""
    backbone = ResNet.Config(depth=cast(Any, depth), norm_frozen=True)
    rpn = RPN.Config(train_proposals=proposals, proposals=proposals)
    box_head = BoxHead.Config(sampling=2, samples=rois)
    if method == "retinanet":
        neck = FPN.Config(start=1, extra="on_output", relu_before_extra=True)
        names = [str(label) for label in range(CLASSES + 1)]
        return RetinaNet(RetinaNet.Config(backbone=backbone, neck=neck), names)
    names = [str(label) for label in range(CLASSES)]
    if method == "faster_rcnn":
        return FasterRCNN(FasterRCNN.Config(backbone=backbone, rpn=rpn, box_head=box_head), names)
    mask_head = MaskHead.Config(sampling=2)
    return MaskRCNN(MaskRCNN.Config(backbone=backbone, rpn=rpn, box_head=box_head, mask_head=mask_head), names)


def their_model(
    method: str, size: tuple[int, int], depth: int = 50, proposals: int = 1000, rois: int = 512
) -> nn.Module:
    """torchvision's, with random weights; arguments as `make_pair`."""
    # the pictures have the network's size: nobody resizes
    common: dict[str, Any] = {"min_size": min(size), "max_size": max(size), "_skip_resize": True}
    body = {"backbone_name": f"resnet{depth}", "weights": None, "trainable_layers": 3}
    if method == "retinanet":
        backbone = resnet_fpn_backbone(**body, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
        return TheirRetinaNet(backbone, CLASSES + 1, detections_per_img=100, **common)
    common |= {"rpn_post_nms_top_n_train": proposals, "rpn_post_nms_top_n_test": proposals}
    common |= {"box_batch_size_per_image": rois}
    kind = TheirFasterRCNN if method == "faster_rcnn" else TheirMaskRCNN
    return kind(resnet_fpn_backbone(**body), CLASSES + 1, **common)


@torch.no_grad()
def _scale(model: nn.Module, pictures: Tensor, wanted: int = 1000) -> None:
    """Scale random weights to the activations and number of candidates of trained ones.

    Residual branches are damped, as fixed statistics do not keep them in bounds; then the classifier's weights grow
    until ``wanted`` (box, class) pairs of a picture pass the score threshold of 0.05.
    """
    for name, module in model.named_modules():
        if name.endswith(("bn3", "bn2")) and isinstance(module.weight, Tensor):
            module.weight.fill_(0.3)
    seen: list[Tensor] = []
    is_retinanet = isinstance(model, TheirRetinaNet)
    part: Any = model.head.classification_head if is_retinanet else cast(Any, model).roi_heads.box_predictor
    layer: nn.Module = part.cls_logits if is_retinanet else part.cls_score
    hook = layer.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    model.eval()
    model([picture / 255 for picture in pictures])
    hook.remove()
    bias = cast(Tensor, layer.bias)
    if is_retinanet:
        flat = torch.cat([(level - bias[:, None, None]).flatten() for level in seen])
        gap = torch.logit(torch.tensor(0.05)) - bias[0]
        factor = gap / flat.topk(wanted).values[-1]
    else:
        factor = _root(lambda f: int(((seen[0] * f).softmax(-1)[:, 1:] > 0.05).sum()), wanted)
        bias.mul_(factor)
    cast(Tensor, layer.weight).mul_(factor)
    model.train()


def _root(count: Callable[[float], int], wanted: int) -> float:
    """The least factor, to within a hundredth, for which ``count`` reaches ``wanted``."""
    factor = 1.0
    while count(factor) < wanted and factor < 1e4:
        factor *= 1.01
    return factor


_NAMES = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.0\.", r"neck.lateral_convs.\1.conv."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.0\.", r"neck.fpn_convs.\1.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p6\.", "neck.fpn_convs.3.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p7\.", "neck.fpn_convs.4.conv."),
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
    (r"^head\.classification_head\.conv\.(\d)\.0\.", r"cls_convs.\1.conv."),
    (r"^head\.classification_head\.cls_logits\.", "cls."),
    (r"^head\.regression_head\.conv\.(\d)\.0\.", r"reg_convs.\1.conv."),
    (r"^head\.regression_head\.bbox_reg\.", "reg."),
)


def _translate(state: dict[str, Tensor], method: str) -> dict[str, Tensor]:
    """torchvision's weights under our names; background moves from the first class to the last."""
    translated = {}
    for name, value in state.items():
        for pattern, replacement in _NAMES:
            ours, hits = re.subn(pattern, replacement, name)
            if hits:
                break
        else:
            raise ValueError(f"torchvision's {method} has a parameter that is not known here: {name}")
        if ours.startswith("box_head.fc_cls"):
            value = torch.cat([value[1:], value[:1]])
        elif ours.startswith("box_head.fc_reg"):
            value = value[4:]
        elif ours.startswith("mask_head.conv_logits"):
            value = value[1:]
        translated[ours] = value
    return translated
