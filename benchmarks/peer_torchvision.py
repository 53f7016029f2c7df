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
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN as TheirFasterRCNN
from torchvision.models.detection import MaskRCNN as TheirMaskRCNN
from torchvision.models.detection import RetinaNet as TheirRetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.image_list import ImageList
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from benchmarks.scenes import OBJECTS, Item, objects_at
from benchmarks.sides import Side
from detzoo.backbones.resnet import ResNet
from detzoo.blocks.roi_heads import BoxHead, MaskHead
from detzoo.blocks.rpn import RPN
from detzoo.detector import Detector
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.necks.fpn import FPN
from detzoo.types import Images

METHODS = ("faster_rcnn", "mask_rcnn", "retinanet")
TWO_STAGES = ("faster_rcnn", "mask_rcnn")
CLASSES = 90  # COCO's category ids, as torchvision counts them


class Torchvision(Side):
    """torchvision's model of one of `METHODS`. Thresholding its mask probabilities is left out."""

    who = "torchvision"

    def __init__(self, method: str, model: nn.Module) -> None:
        self.method = method
        self.model: Any = model

    def targets(self, items: list[Item]) -> list[dict[str, Tensor]]:
        """Objects as torchvision takes them: class 0 is background where a softmax tells the class."""
        shift = 1 if self.method in TWO_STAGES else 0
        targets = [{"boxes": item["boxes"], "labels": item["labels"] + shift} for item in items]
        if self.method == "mask_rcnn":
            for target, item in zip(targets, items, strict=True):
                target["masks"] = item["masks"].to(torch.uint8)
        return targets

    def predict(self, pictures: Tensor) -> Callable[[], int]:
        self.model.eval()

        def run() -> int:
            return sum(len(result["boxes"]) for result in self.model([picture.float() / 255 for picture in pictures]))

        return torch.no_grad()(run)

    def learn(self, pictures: Tensor, items: list[Item]) -> Callable[[], Tensor]:
        self.model.train()
        wanted = self.targets(items)
        return lambda: _total(self.model([picture.float() / 255 for picture in pictures], wanted))

    def detect(self, images: Images) -> Callable[[], object]:
        self.model.eval()
        return self._prepared(images, torch.no_grad()(lambda: self.model(list(images.pixels))))

    def losses(self, images: Images, items: list[Item]) -> Callable[[], Tensor]:
        self.model.train()
        wanted = self.targets(items)
        return self._prepared(images, lambda: _total(self.model(list(images.pixels), wanted)))

    def _prepared(self, images: Images, run: Callable[[], Any]) -> Callable[[], Any]:
        transform = self.model.transform
        sizes = [(int(height), int(width)) for height, width in images.sizes]

        def inner() -> Any:
            self.model.transform = _Prepared(ImageList(images.pixels, sizes))
            try:
                return run()
            finally:
                self.model.transform = transform

        return inner

    def mask_layer(self) -> nn.Module | None:
        return self.model.roi_heads.mask_head if self.method == "mask_rcnn" else None


class _Prepared(nn.Module):
    """Stands in for torchvision's resizing, normalizing and pasting."""

    def __init__(self, images: ImageList) -> None:
        super().__init__()
        self.images = images

    def forward(self, images: list[Tensor], targets: Any = None) -> tuple[ImageList, Any]:
        return self.images, targets

    def postprocess(self, result: Any, shapes: Any, originals: Any) -> Any:
        return result


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(losses.values())).sum()


def theirs(method: str, size: tuple[int, int], depth: int = 50, proposals: int = 1000, rois: int = 512) -> Torchvision:
    """torchvision's, with random weights; arguments as `benchmarks.peers.make_pair`."""
    # the pictures have the network's size: nobody resizes
    common: dict[str, Any] = {"min_size": min(size), "max_size": max(size), "_skip_resize": True}
    body = {"backbone_name": f"resnet{depth}", "weights": None, "trainable_layers": 3}
    if method == "retinanet":
        backbone = resnet_fpn_backbone(**body, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
        return Torchvision(method, TheirRetinaNet(backbone, CLASSES + 1, detections_per_img=100, **common))
    common |= {"rpn_post_nms_top_n_train": proposals, "rpn_post_nms_top_n_test": proposals}
    common |= {"box_batch_size_per_image": rois}
    kind = TheirFasterRCNN if method == "faster_rcnn" else TheirMaskRCNN
    return Torchvision(method, kind(resnet_fpn_backbone(**body), CLASSES + 1, **common))


def ours(method: str, depth: int = 50, proposals: int = 1000, rois: int = 512) -> Detector:
    """Ours, with random weights; arguments as `benchmarks.peers.make_pair`."""
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


@torch.no_grad()
def make_proposed_objects(side: Torchvision, pictures: Tensor, seed: int = 0) -> list[Item]:
    """As `make_objects`, but the boxes are proposals of torchvision's two-stage model, picked at random.

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

    Residual branches are damped, as fixed statistics do not keep them in bounds; then the classifier's weights grow
    until ``wanted`` (box, class) pairs of a picture pass the score threshold of 0.05.
    """
    model = side.model
    for name, module in model.named_modules():
        if name.endswith(("bn3", "bn2")) and isinstance(module.weight, Tensor):
            module.weight.fill_(0.3)
    seen: list[Tensor] = []
    dense = side.method not in TWO_STAGES
    layer: nn.Module = model.head.classification_head.cls_logits if dense else model.roi_heads.box_predictor.cls_score
    hook = layer.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    model.eval()
    model([picture / 255 for picture in pictures])
    hook.remove()
    bias = cast(Tensor, layer.bias)
    if dense:
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


def translate(state: dict[str, Tensor], method: str) -> dict[str, Tensor]:
    """torchvision's weights under our names; background moves from the first class to the last.

    Raises:
        ValueError: there is a parameter that has no name here.
    """
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
