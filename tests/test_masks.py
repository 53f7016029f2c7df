import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from detzoo.ops import masks
from detzoo.ops.mask_windows import MaskWindows
from detzoo.ops.masks import paste, sample
from detzoo.ops.roi_align import crop_targets


def by_grid_sample(crops: Tensor, boxes: Tensor, canvas: tuple[int, int]) -> Tensor:
    """The usual way: a canvas-sized grid of positions inside each box."""
    height, width = canvas
    x0, y0, x1, y1 = boxes.unbind(1)
    ys = (torch.arange(height) + 0.5 - y0[:, None]) / (y1 - y0)[:, None] * 2 - 1
    xs = (torch.arange(width) + 0.5 - x0[:, None]) / (x1 - x0)[:, None] * 2 - 1
    shape = (len(boxes), height, width)
    grid = torch.stack([xs[:, None, :].expand(shape), ys[:, :, None].expand(shape)], 3)
    return F.grid_sample(crops[:, None], grid, align_corners=False)[:, 0]


def random_boxes(count: int, canvas: tuple[int, int], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([canvas[1], canvas[0]]) - 4
    extent = torch.rand(count, 2, generator=generator) * torch.tensor([canvas[1], canvas[0]]) * 0.8 + 0.3
    return torch.cat([corners, corners + extent], 1)


@pytest.mark.parametrize(("size", "canvas"), [(28, (37, 53)), (7, (64, 20)), (1, (9, 9))])
def test_sample_is_grid_sample(size: int, canvas: tuple[int, int]):
    boxes = random_boxes(12, canvas, seed=size)
    crops = torch.rand(12, size, size, generator=torch.Generator().manual_seed(1))
    ours = sample(crops, boxes, (0, canvas[0]), (0, canvas[1]))
    torch.testing.assert_close(ours, by_grid_sample(crops, boxes, canvas), atol=2e-5, rtol=0)
    inside = by_grid_sample(crops, boxes, canvas)
    differs = paste(crops, boxes, canvas, 0.5) != (inside >= 0.5)
    assert not (differs & ((inside - 0.5).abs() > 1e-4)).any()


def test_a_window_is_a_part_of_the_canvas():
    boxes = random_boxes(3, (30, 40), seed=5)
    crops = torch.rand(3, 14, 14)
    whole = sample(crops, boxes, (0, 30), (0, 40))
    torch.testing.assert_close(sample(crops, boxes, (4, 20), (11, 39)), whole[:, 4:20, 11:39])


def test_a_full_crop_fills_its_box_exactly():
    pasted = paste(torch.ones(2, 28, 28), torch.tensor([[2.0, 3, 7, 9], [0, 0, 10, 12]]), (12, 10))
    expected = torch.zeros(2, 12, 10, dtype=torch.bool)
    expected[0, 3:9, 2:7] = True
    expected[1] = True
    assert torch.equal(pasted, expected)


def test_degenerate_boxes_give_empty_masks():
    boxes = torch.tensor([[5.0, 5, 5, 9], [5, 5, 9, 5], [5, 5, 5, 5], [9, 9, 5, 5], [0, 0, 0, 0], [50, 50, 60, 60]])
    crops = torch.ones(6, 28, 28)
    assert sample(crops, boxes, (0, 20), (0, 20)).isfinite().all()
    assert not paste(crops, boxes, (20, 20)).any()
    assert paste(torch.zeros(0, 28, 28), torch.zeros(0, 4), (5, 6)).shape == (0, 5, 6)


def test_double_precision_reaches_the_edge():
    """A value that float32 rounds up to the threshold is still below it."""
    crops, boxes = torch.full((1, 28, 28), 0.5 - 1e-12, dtype=torch.float64), torch.tensor([[0.0, 0, 10, 10]])
    assert not paste(crops, boxes.double(), (10, 10)).any()
    assert paste(crops.float(), boxes, (10, 10)).all()
    assert not any(inside.any() for _, _, inside in masks.windows(crops, boxes, (10, 10)))


def test_windows_and_chunks_of_the_canvas_give_the_same(monkeypatch: pytest.MonkeyPatch):
    boxes, crops = random_boxes(7, (16, 16), seed=2), torch.rand(7, 28, 28)
    boxes[3], boxes[4, 2] = torch.nan, torch.inf
    for threshold in (0.5, 0.0):
        pasted = paste(crops, boxes, (16, 16), threshold)
        assert torch.equal(pasted, masks._paste_whole(crops, boxes.nan_to_num(0, 0, 0), (16, 16), threshold))
        with monkeypatch.context() as patch:
            patch.setattr(masks, "CHUNK", 2 * 16 * 16)
            few = masks._paste_whole(crops, boxes.nan_to_num(0, 0, 0), (16, 16), threshold)
        assert torch.equal(pasted, few)


def test_autocast_does_not_move_edges():
    boxes, crops = random_boxes(4, (50, 50), seed=3), torch.rand(4, 28, 28)
    plain = sample(crops, boxes, (0, 50), (0, 50))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sample(crops, boxes, (0, 50), (0, 50)), plain)


def test_targets_invert_paste():
    """Pasting a target of its own box gives the mask back when the grid is finer than the pixels."""
    truth = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    truth[0, 0, 4:12, 6:10] = True
    truth[0, 0, 8:16, 6:18] = True
    box = torch.tensor([[[6.0, 4, 18, 16]]])
    target = crop_targets(MaskWindows.of(truth), box, torch.zeros(1, 1, dtype=torch.long), 48)
    assert torch.equal(paste(target[0], box[0], (24, 24)), truth[0])


@pytest.mark.gpu
def test_on_a_gpu():
    boxes, crops = random_boxes(6, (60, 70), seed=4), torch.rand(6, 28, 28)
    inside = sample(crops, boxes, (0, 60), (0, 70))
    sure = (inside - 0.5).abs() > 1e-4
    assert torch.equal(paste(crops.cuda(), boxes.cuda(), (60, 70)).cpu() & sure, (inside >= 0.5) & sure)
