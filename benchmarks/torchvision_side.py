"""A model of torchvision as one side of a comparison, and what our names of its parameters are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from benchmarks.scenes import Item
from benchmarks.sides import Side
from detzoo.types import Images

CLASSES = 90  # COCO's category ids, as torchvision counts them

# pyramid on a ResNet: torchvision's names as regular expressions, and ours
RESNET_FPN = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d)\.0\.", r"neck.lateral_convs.\1.conv."),
    (r"^backbone\.fpn\.layer_blocks\.(\d)\.0\.", r"neck.fpn_convs.\1.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p6\.", "neck.fpn_convs.3.conv."),
    (r"^backbone\.fpn\.extra_blocks\.p7\.", "neck.fpn_convs.4.conv."),
)


class Torchvision(Side):
    """torchvision's model of a method. Thresholding its mask probabilities is left out."""

    who = "torchvision"

    def __init__(self, method: str, model: nn.Module, background_first: bool) -> None:
        """Wrap a ``model``; ``background_first``: its class 0 is background, as where a softmax tells the class."""
        self.method = method
        self.model: Any = model
        self.background_first = background_first

    def targets(self, items: list[Item]) -> list[dict[str, Tensor]]:
        """Objects as torchvision takes them."""
        shift = 1 if self.background_first else 0
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


def rename(state: dict[str, Tensor], method: str, names: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """torchvision's weights under our names.

    Args:
        state: the weights.
        method: for the error's text.
        names: pairs of a regular expression and what stands in its place; the first that matches counts.

    Raises:
        ValueError: there is a parameter that has no name here.
    """
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in names:
            ours, hits = re.subn(pattern, replacement, name)
            if hits:
                break
        else:
            raise ValueError(f"torchvision's {method} has a parameter that is not known here: {name}")
        renamed[ours] = value
    return renamed


def background_last(values: Tensor, boxes: int = 1) -> Tensor:
    """Rows ``[boxes * (C + 1), ...]`` of a classifier whose background is the first class, with the last in its place.

    Args:
        values: weights or biases.
        boxes: for which a row of classes each stands one after the other.
    """
    return values.unflatten(0, (boxes, -1)).roll(-1, 1).flatten(0, 1)


@torch.no_grad()
def damp(model: nn.Module) -> None:
    """Damp the residual branches of a ResNet with random weights, as fixed statistics do not keep them in bounds."""
    for name, module in model.named_modules():
        if name.endswith(("bn3", "bn2")) and isinstance(module.weight, Tensor):
            module.weight.fill_(0.3)


@torch.no_grad()
def outputs(side: Torchvision, layers: Sequence[nn.Module], pictures: Tensor) -> list[Tensor]:
    """What these layers of the model give on pictures in a prediction, call by call."""
    seen: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out.detach())) for layer in layers]
    side.model.eval()
    side.model([picture / 255 for picture in pictures])
    side.model.train()
    for hook in hooks:
        hook.remove()
    return seen
