"""Masks held as windows: nothing is lost, targets are RoIAlign's of whole masks, and crowds cost what they cover."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data._utils.pin_memory import pin_memory
from torchvision.ops import roi_align

from benchmarks.memory import peak_bytes
from detzoo.ops import roi_align as roi_align_file
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.roi_align import crop_targets
from detzoo.types import Batch, Targets
from tests.tiny import targets
from tests.triton_interpreter import run_interpreted


def random_masks(images: int, slots: int, canvas: tuple[int, int], seed: int) -> Tensor:
    """Full, ragged and empty windows anywhere on the canvas, borders included, and masks all over it."""
    random = np.random.default_rng(seed)
    masks = np.zeros((images, slots, *canvas), dtype=bool)
    for mask in masks.reshape(-1, *canvas):
        (y1, y2), (x1, x2) = (np.sort(random.integers(0, edge + 1, 2)) for edge in canvas)
        share = random.choice([0.0, 0.4, 1.0])
        mask[y1:y2, x1:x2] = random.random((y2 - y1, x2 - x1)) < share
        if random.random() < 0.2:
            mask[:] = random.random(canvas) < 0.7
    return torch.from_numpy(masks)


def random_rois(images: int, count: int, canvas: tuple[int, int], seed: int) -> Tensor:
    """Boxes of all sizes, some beyond the canvas, some without area; every second seed's on whole or half pixels."""
    random = np.random.default_rng(seed)
    edges = np.array(canvas[::-1])
    corners = random.random((images, count, 2)) * (edges + 20) - 10
    boxes = np.concatenate([corners, corners + random.random((images, count, 2)) ** 2 * edges * 1.2], 2)
    if seed % 2:
        boxes = (boxes * 2).round() / 2
    boxes[:, seed % count] = 0
    return torch.from_numpy(boxes).float()


def of_whole_masks(masks: Tensor, boxes: Tensor, index: Tensor, size: int) -> Tensor:
    """`crop_targets` as it is defined: torchvision's RoIAlign of each RoI's whole mask."""
    height, width = masks.shape[-2:]
    clipped = torch.stack([boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)], -1).flatten(-2)
    own = masks[torch.arange(len(masks))[:, None], index].flatten(0, 1).unsqueeze(1).float()
    rois = torch.cat([torch.arange(len(own)).float()[:, None], clipped.flatten(0, 1)], 1)
    return (roi_align(own, rois, size, 1.0, 0, aligned=True) >= 0.5).float().view(*index.shape, size, size)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 5), st.integers(0, 1000))
def test_nothing_is_lost(height: int, width: int, slots: int, seed: int) -> None:
    masks = random_masks(2, slots, (height, width), seed)
    held = MaskWindows.of(masks)
    assert held.shape == masks.shape
    assert torch.equal(held.dense(), masks)
    for image in range(2):
        assert torch.equal(held[image].dense(), masks[image])
        assert len(held[image]) == slots
    area = 0
    for mask, window in zip(masks.flatten(0, 1), held.windows.view(-1, 4).tolist(), strict=True):
        rows, columns = torch.where(mask)
        bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        assert window == [int(bound) for bound in bounds]  # of the set pixels, not of any box
        area += (window[2] - window[0]) * (window[3] - window[1])
    assert held.numel() <= max(1024, 2 * (area / 8 + 2 * slots))


@pytest.mark.parametrize("shape", [(0, 4, 9, 8), (0, 0, 9, 8), (3, 0, 9, 8), (2, 4, 9, 8)])
def test_a_batch_may_be_empty(shape: tuple[int, ...]) -> None:
    held = MaskWindows.of(torch.ones(shape, dtype=torch.bool))
    assert held.shape == shape
    assert len(held) == shape[0]
    assert torch.equal(held.dense(), torch.ones(shape, dtype=torch.bool))
    targets = crop_targets(held, torch.zeros(*shape[:2], 4), torch.zeros(shape[:2], dtype=torch.int64), 7)
    assert targets.shape == (*shape[:2], 7, 7)


def test_few_lengths_occur() -> None:
    lengths = {MaskWindows.of(torch.ones(1, 1, edge, 100, dtype=torch.bool)).numel() for edge in range(100, 700, 10)}
    assert lengths == {2048, 4096, 8192, 16384}


def test_masks_of_one_batch_have_one_canvas() -> None:
    boxes, labels = torch.tensor([[1.0, 1, 5, 5]]), torch.zeros(1, dtype=torch.int64)
    items = [{"boxes": boxes, "labels": labels, "masks": torch.ones(1, 8, width).bool()} for width in (9, 10)]
    with pytest.raises(ValueError, match=r"canvas of \(8, 10\)"):
        Targets.pack(items)
    bare = {"boxes": boxes, "labels": labels}
    packed = Targets.pack([bare, items[0] | {"masks": MaskWindows.of(torch.ones(1, 8, 9).bool())}])
    assert packed.masks is not None
    assert packed.masks.shape == (2, 4, 8, 9)
    assert packed.masks.dense().sum((2, 3)).tolist() == [[0] * 4, [72, 0, 0, 0]]


@pytest.mark.parametrize("size", [1, 2, 7, 14, 28])
def test_targets_are_the_roi_aligned_masks_bit_for_bit(size: int) -> None:
    for seed in range(24):
        canvas = (5 + 7 * (seed % 11), 97 - 9 * (seed % 10))
        masks, boxes = random_masks(2, 3, canvas, seed), random_rois(2, 6, canvas, seed)
        index = torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (2, 6)))
        ours = crop_targets(MaskWindows.of(masks), boxes, index, size)
        assert ours.dtype == torch.float32
        assert torch.equal(ours, of_whole_masks(masks, boxes, index, size)), seed
        assert torch.equal(ours, crop_targets(MaskWindows.of(masks), boxes.double(), index, size))


def test_bins_that_are_half_full_are_decided_as_before() -> None:
    """Edges of RoIs and masks on whole pixels: rounding alone decides."""
    masks = torch.zeros(1, 2, 64, 96, dtype=torch.bool)
    masks[0, 0, 10:50, 11:60] = True
    masks[0, 1, ::2] = True
    corners = torch.tensor([[3.0, 4.0, 31.0, 32.0], [11.0, 10.0, 60.0, 50.0], [0.0, 0.0, 96.0, 64.0], [1.0, 1, 85, 57]])
    boxes = torch.cat([corners, corners + 0.5, corners]).unsqueeze(0)
    index = torch.tensor([[0] * 8 + [1] * 4])
    for size in (7, 14, 28):
        ours = crop_targets(MaskWindows.of(masks), boxes, index, size)
        assert torch.equal(ours, of_whole_masks(masks, boxes, index, size))


def test_a_part_at_a_time_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    masks, boxes = random_masks(2, 3, (40, 50), 3), random_rois(2, 9, (40, 50), 3)
    index = torch.arange(18).view(2, 9) % 3
    whole = crop_targets(MaskWindows.of(masks), boxes, index, 7)
    monkeypatch.setattr(roi_align_file, "_SUMS", 600)
    monkeypatch.setattr(roi_align_file, "_TAPS", 50)
    assert torch.equal(crop_targets(MaskWindows.of(masks), boxes, index, 7), whole)


def test_targets_without_rois_or_with_empty_slots() -> None:
    truth = MaskWindows.of(torch.ones(2, 4, 8, 8, dtype=torch.bool))
    for count in (0, 3):
        boxes, index = torch.zeros(2, count, 4), torch.zeros(2, count, dtype=torch.int64)
        for values in (boxes, boxes + torch.nan, boxes + torch.inf):
            assert not crop_targets(truth, values, index, 28).any()
        assert crop_targets(truth, boxes, index, 28).shape == (2, count, 28, 28)
    none = MaskWindows.of(torch.zeros(1, 4, 8, 8, dtype=torch.bool))
    assert not crop_targets(none, torch.tensor([[[0.0, 0, 8, 8]]]), torch.ones(1, 1, dtype=torch.int64), 7).any()


INTERPRETED = """
import torch
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.mask_windows_triton import crop
from detzoo.ops.roi_align import crop_targets
masks = torch.rand(1, 2, 11, 13, generator=torch.Generator().manual_seed(0)) > 0.4
masks[0, 1, :4], masks[0, 1, :, 9:] = False, False
held, index = MaskWindows.of(masks), torch.tensor([[0, 1, 1]])
rois = torch.tensor([[2.3, 1.7, 12.9, 8.4], [0, 2, 9, 9], [4, 5, 7, 8]])
ours = crop(held.bits, held.starts[0], held.windows[0], rois, index[0], 11, 13, 7)
assert torch.equal(ours[None], crop_targets(held, rois[None], index, 7))
assert 0.2 < ours.mean() < 0.9
print("equal")
"""


def test_cuda_kernel_equals_the_cpu_in_tritons_interpreter() -> None:
    run_interpreted(INTERPRETED)


@pytest.mark.gpu
def test_on_a_gpu() -> None:
    for seed in range(6):
        masks, boxes = random_masks(2, 3, (90, 121), seed), random_rois(2, 6, (90, 121), seed)
        held, index = MaskWindows.of(masks), torch.arange(12).view(2, 6) % 3
        ours = crop_targets(held.to("cuda"), boxes.cuda(), index.cuda(), 14).cpu()
        assert torch.equal(ours, crop_targets(held, boxes, index, 14))


def test_a_crowd_costs_what_it_covers() -> None:
    """300 objects beside 3 at 800 x 1344, two of which fill the image: as whole masks 550 MB, and more to crop."""
    canvas, random = (800, 1344), np.random.default_rng(0)
    items = []
    for count in (300, 3):
        edges = random.integers(40, 160, (count, 2))
        edges[:2] = canvas
        corners = (random.random((count, 2)) * (canvas - edges)).astype(int)
        pieces = [
            (int(top), int(left), np.ones(edge, dtype=bool)) for (top, left), edge in zip(corners, edges, strict=True)
        ]
        boxes = torch.from_numpy(np.concatenate([corners, corners + edges], 1)[:, [1, 0, 3, 2]]).float()
        labels = torch.zeros(count, dtype=torch.int64)
        items.append({"boxes": boxes, "labels": labels, "masks": MaskWindows.cut(pieces, canvas)})
    packed = Targets.pack(items)
    assert packed.masks is not None
    assert packed.masks.shape == (2, 512, *canvas)
    index = torch.stack([torch.arange(128), torch.arange(128) % 3])
    owner = (index + torch.tensor([[0], [512]])).flatten()
    boxes = packed.boxes.flatten(0, 1)[owner]
    masks = packed.masks
    arguments = masks.bits, masks.starts.flatten(), masks.windows.flatten(0, 1), boxes, owner
    found = roi_align_file._crop_masks_cpu(*arguments, *canvas, 28)
    assert found.mean() > 0.99
    assert masks.numel() <= 2**20
    packing = peak_bytes(lambda: Targets.pack(items))
    cropping = peak_bytes(lambda: roi_align_file._crop_masks_cpu(*arguments, *canvas, 28))
    assert packing + cropping < 150e6


def test_a_batch_is_pinned_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the data loader does it, on a machine without a device to pin memory for."""
    pinned: list[Tensor] = []

    def pin(tensor: Tensor) -> Tensor:
        pinned.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    given = targets(3, 1)
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.zeros(2, 2), given, [5, "a"], torch.zeros(2, 2), ["x", "y"])
    copy = pin_memory(batch)
    assert isinstance(copy, Batch)
    assert (copy.ids, copy.paths) == (batch.ids, batch.paths)
    assert given.masks is not None
    assert copy.targets.masks is not None
    assert copy.targets.masks.canvas == given.masks.canvas
    assert torch.equal(copy.targets.masks.dense(), given.masks.dense())
    masks = given.masks.bits, given.masks.starts, given.masks.windows
    assert {id(tensor) for tensor in pinned} >= {id(tensor) for tensor in (batch.pixels, given.boxes, *masks)}
