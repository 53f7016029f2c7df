"""`Side`: one of the two that a comparison sets side by side, and ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.scenes import Item, make_maps, make_proposals, pad
from detzoo.blocks.roi_heads import MaskHead
from detzoo.detector import Detector
from detzoo.types import Detections, Images, Targets


class Side(ABC):
    """A model and its way from pictures or from the network's input to results and losses.

    Each method prepares what is not to be measured and returns the function that is.

    Attributes:
        who: the library.
        model: in training mode, or in evaluation mode after `predict` or `detect`.
    """

    who: str
    model: Any

    def to(self, device: torch.device) -> None:
        """Move the model."""
        self.model.to(device)

    @abstractmethod
    def predict(self, pictures: Tensor) -> Callable[[], int]:
        """From uint8 ``[N, 3, H, W]`` pictures to results of the pictures' size; gives the number of detections."""

    @abstractmethod
    def learn(self, pictures: Tensor, items: list[Item]) -> Callable[[], Tensor]:
        """From uint8 pictures and prepared targets to the sum of the losses."""

    @abstractmethod
    def detect(self, images: Images) -> Callable[[], object]:
        """From the network's input to the detections of the batch, still on the device."""

    @abstractmethod
    def losses(self, images: Images, items: list[Item]) -> Callable[[], Tensor]:
        """From the network's input and prepared targets to the sum of the losses."""

    def mask_layer(self) -> nn.Module | None:
        """The first layer of the mask head: its inputs are the RoIs that masks are learned from."""
        return None


class Ours(Side):
    """detzoo's."""

    who = "detzoo"

    def __init__(self, model: Detector) -> None:
        self.model: Detector = model

    def images(self, pictures: Tensor) -> Images:
        """Network input from uint8 pictures."""
        sizes = torch.tensor([pictures.shape[-2:]] * len(pictures), device=pictures.device)
        return self.model.normalize(pad(pictures, self.model.config.input.multiple), sizes)

    def targets(self, items: list[Item], size: tuple[int, int]) -> Targets:
        """Targets on the padded canvas of pictures of ``size``; also masks, proposals and class maps where taken."""
        masks = self.model.learns_masks
        multiple = self.model.config.input.multiple
        given = [{key: item[key] for key in ("boxes", "labels")} for item in items]
        if masks:
            given = [one | {"masks": pad(item["masks"], multiple)} for one, item in zip(given, items, strict=True)]
        if self.model.takes_proposals:
            boxes = make_proposals(len(items), size).to(self.model.device)
            given = [one | {"proposals": some} for one, some in zip(given, boxes, strict=True)]
        if self.model.config.learns_class_maps:
            given = [one | {"semantic": some} for one, some in zip(given, make_maps(len(items), size), strict=True)]
        return Targets.pack(given)

    def finder(self, count: int, size: tuple[int, int]) -> Callable[[Images], Detections]:
        """`Detector.detect` for ``count`` pictures of ``size``, with proposals where the method takes them."""
        detect: Any = self.model.detect
        return (
            partial(detect, proposals=make_proposals(count, size).to(self.model.device))
            if self.model.takes_proposals
            else detect
        )

    def predict(self, pictures: Tensor) -> Callable[[], int]:
        self.model.eval()
        detect = self.finder(len(pictures), _size(pictures))

        def run() -> int:
            found = detect(self.images(pictures))
            results = [found[index] for index in range(len(found))]
            for result in results:
                assert self.mask_layer() is None or result.masks is not None
            return sum(len(result) for result in results)

        return torch.no_grad()(run)

    def learn(self, pictures: Tensor, items: list[Item]) -> Callable[[], Tensor]:
        self.model.train()
        targets = self.targets(items, _size(pictures))
        return lambda: _total(self.model(self.images(pictures), targets))

    def detect(self, images: Images) -> Callable[[], object]:
        self.model.eval()
        detect = self.finder(len(images.pixels), _size(images.pixels))
        return torch.no_grad()(lambda: detect(images))

    def losses(self, images: Images, items: list[Item]) -> Callable[[], Tensor]:
        self.model.train()
        targets = self.targets(items, _size(images.pixels))
        return lambda: _total(self.model(images, targets))

    def mask_layer(self) -> nn.Module | None:
        heads = (part for part in self.model.modules() if isinstance(part, MaskHead))
        return next((head.convs[0] for head in heads), None)


def _size(pixels: Tensor) -> tuple[int, int]:
    return pixels.shape[-2], pixels.shape[-1]


def _total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([value for name, value in losses.items() if "loss" in name]).sum()
