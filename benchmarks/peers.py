"""Our methods, and beside those that another library has, too, the other's model with the same weights.

`peer_one_stage` and `peer_two_stage`, both of torchvision, and `peer_transformers` say what is compared and what still
differs. transformers is the extra ``bench``; without it DETR stands alone, as do the methods that no other library has.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import detzoo
from benchmarks import peer_one_stage, peer_two_stage
from benchmarks.scenes import make_pictures
from benchmarks.sides import Ours, Side
from detzoo.detector import Detector
from detzoo.methods.ld import LD
from detzoo.recipes.recipe import METHODS as CLASSES_OF_METHODS

# method -> the module that has a peer of it; all have the functions that are called here
PEERS: dict[str, Any] = {method: module for module in (peer_two_stage, peer_one_stage) for method in module.METHODS}
if importlib.util.find_spec("transformers"):
    from benchmarks import peer_transformers

    PEERS |= dict.fromkeys(peer_transformers.METHODS, peer_transformers)

OURS: dict[str, type[Detector]] = {
    method.__dict__["Config"].model_fields["method"].default: method for method in CLASSES_OF_METHODS
}
METHODS = tuple(OURS)
# (height, width) of pictures that a method is made for, where it is not any
SIZES = {"cornernet": (511, 511), "ssd": (300, 300), "yolov3": (608, 608)}


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and, where there is one, another library's model of one method, with the same weights."""

    method: str
    ours: Ours
    theirs: Side | None

    @property
    def sides(self) -> list[Side]:
        """Those that there are, ours first."""
        return [self.ours] if self.theirs is None else [self.ours, self.theirs]


def make_pair(
    method: str, size: tuple[int, int], depth: int = 50, seed: int = 0, proposals: int = 1000, rois: int = 512
) -> Pair:
    """Both models of ``method`` in training mode, scaled to find objects on pictures of ``size`` (height, width).

    A method without a peer has the settings of its class and random weights.

    Args:
        method: one of `METHODS`.
        size: of the pictures, in pixels.
        depth: of the ResNet, where there is one.
        seed: of the random weights.
        proposals: per picture, from the first stage to the second.
        rois: per picture that the second stage learns from.
    """
    torch.manual_seed(seed)
    if method not in PEERS:
        return Pair(method, alone(method, depth), None)
    theirs = their_side(method, size, depth, proposals, rois)
    PEERS[method].scale(theirs, make_pictures(1, size, seed))
    return Pair(method, our_side(method, theirs.model.state_dict(), depth, proposals, rois), theirs)


def alone(method: str, depth: int = 50) -> Ours:
    """Ours, with the settings of its class and random weights."""
    kind = OURS[method]
    settings = kind.__dict__["Config"]()
    if getattr(settings.backbone, "kind", None) == "resnet":
        settings = settings.replace(backbone=settings.backbone.replace(depth=depth))
    if method == "tridentnet":  # as published: every RoI goes through the backbone's last stage, three times
        settings = settings.replace(box_head=settings.box_head.replace(samples=128))
    model = kind(settings, [str(label) for label in range(80)])
    if isinstance(model, LD):
        model.learn_from(detzoo.build(model.distillation.teacher))
    return Ours(model)


def their_side(method: str, size: tuple[int, int], depth: int = 50, proposals: int = 1000, rois: int = 512) -> Side:
    """The other library's, with random weights; arguments as `make_pair`."""
    return PEERS[method].theirs(method, size, depth, proposals, rois)


def our_side(method: str, state: dict[str, Tensor], depth: int = 50, proposals: int = 1000, rois: int = 512) -> Ours:
    """Ours with the weights of the other library's model, given as its state dict; other arguments as `make_pair`.

    Raises:
        ValueError: the two models do not have the same parameters.
    """
    model = PEERS[method].ours(method, depth, proposals, rois)
    left = model.load_state_dict(PEERS[method].translate(state, method), strict=False)
    if left.unexpected_keys or not all(name.endswith("num_batches_tracked") for name in left.missing_keys):
        raise ValueError(f"{method}: the two models differ: {left}")
    return Ours(model)
