"""Pictures, objects, and what is made of them for either side of a comparison."""

from __future__ import annotations

import torch
from torch import Tensor, nn

OBJECTS = 64  # per training image: enough that mask heads learn from as many RoIs as they may
PROPOSALS = 1000  # per image that are given to Fast R-CNN

Item = dict[str, Tensor]


def make_pictures(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """uint8 RGB ``[count, 3, H, W]``: random blobs of every scale."""
    draw = torch.Generator().manual_seed(seed)
    picture = torch.zeros(count, 3, *size)
    for scale in (4, 16, 64, 256):
        cells = [max(1, edge // scale) for edge in size]
        noise = torch.rand(count, 3, *cells, generator=draw)
        picture += nn.functional.interpolate(noise, size=size, mode="bilinear")
    return (picture * (255 / 4)).to(torch.uint8)


def make_objects(count: int, size: tuple[int, int], classes: int, seed: int = 0, objects: int = OBJECTS) -> list[Item]:
    """Per picture ``objects`` boxes, a twentieth to a half of its edges long, 0-based labels and elliptic masks."""
    draw = torch.Generator().manual_seed(seed)
    height, width = size
    edges = torch.tensor([width, height, width, height], dtype=torch.float32)
    items = []
    for _ in range(count):
        half = torch.rand(objects, 2, generator=draw).square() * 0.2 + 0.025
        centre = torch.rand(objects, 2, generator=draw) * (1 - 2 * half) + half
        items.append(objects_at(torch.cat([centre - half, centre + half], 1) * edges, size, classes, draw))
    return items


def make_proposals(count: int, size: tuple[int, int], seed: int = 1) -> Tensor:
    """Boxes ``[count, PROPOSALS, 4]`` anywhere, for methods that are given theirs."""
    draw = torch.Generator().manual_seed(seed)
    half = torch.rand(count, PROPOSALS, 2, generator=draw).square() * 0.2 + 0.025
    centre = torch.rand(count, PROPOSALS, 2, generator=draw) * (1 - 2 * half) + half
    height, width = size
    return torch.cat([centre - half, centre + half], -1) * torch.tensor([width, height] * 2)


def make_maps(count: int, size: tuple[int, int], seed: int = 2) -> Tensor:
    """Class maps ``[count, h, w]`` of 6 classes at an eighth of ``size``, for methods that learn them."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(6, (count, *(-(-edge // 8) for edge in size)), generator=draw)


def objects_at(boxes: Tensor, size: tuple[int, int], classes: int, draw: torch.Generator) -> Item:
    """Objects with these ``boxes [M, 4]``: random labels, and masks that are ellipses."""
    y, x = torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5
    middle, radius = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    across = ((x - middle[:, :1]) / radius[:, :1]).square()
    down = ((y - middle[:, 1:]) / radius[:, 1:]).square()
    labels = torch.randint(0, classes, (len(boxes),), generator=draw)
    return {"boxes": boxes, "labels": labels, "masks": down[:, :, None] + across[:, None, :] <= 1}


def pad(pixels: Tensor, multiple: int = 32) -> Tensor:
    """``[..., H, W]`` with zeros at right and bottom up to a multiple."""
    height, width = pixels.shape[-2:]
    return nn.functional.pad(pixels, (0, -width % multiple, 0, -height % multiple))
