"""Deformable RoI pooling: the operator against a loop over samples, its gradients, and layers of each level's own."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from detzoo.blocks.deform_pool import DeformPool
from detzoo.config import validate
from detzoo.ops.deform_roi_pool import deform_roi_pool, roi_align_beyond
from detzoo.ops.roi_align import Atlas, _lay_out, build_atlas, pyramid_levels, roi_align
from tests.triton_interpreter import run_interpreted

STRIDES, SIZE = (4, 8), 3
LEVELS = torch.tensor([[1, 0, 0], [0, 0, 1]])
BOXES = torch.tensor(
    [[[0.0, 0, 48, 32], [3, 5, 20, 30], [0, 0, 0, 0]], [[10, 10, 40, 20], [7.5, 3, 12, 9], [1, 2, 47, 31]]]
).double()
layouts = pytest.mark.parametrize("lay_out", [build_atlas, _lay_out])


def maps(channels: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, channels, *sides, generator=generator, dtype=torch.float64) for sides in ((8, 12), (4, 6))]


def offsets() -> Tensor:
    """So large that bins leave the levels on all sides."""
    return torch.randn(6, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 4


def read(features: Tensor, y: float, x: float) -> Tensor:
    """One sample of ``[C, H, W]``, of its edge where it is outside by a cell at most."""
    height, width = features.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return features.new_zeros(len(features))
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = (left + 1 - x) * features[:, top, left] + (x - left) * features[:, top, right]
    lower = (left + 1 - x) * features[:, bottom, left] + (x - left) * features[:, bottom, right]
    return (top + 1 - y) * upper + (y - top) * lower


def written_out(levels: list[Tensor], moved: Tensor, sampling: int, reach: float) -> Tensor:
    """RoI by RoI, bin by bin, sample by sample."""
    result = torch.zeros(6, levels[0].shape[1], SIZE, SIZE, dtype=torch.float64)
    for roi in range(6):
        image, level = roi // 3, int(LEVELS.flatten()[roi])
        x1, y1, x2, y2 = (BOXES.view(-1, 4)[roi] / STRIDES[level]).tolist()
        wide, high = (x2 - x1) / SIZE, (y2 - y1) / SIZE
        across, down = (sampling or math.ceil(side) for side in (wide, high))
        for row in range(SIZE):
            for column in range(SIZE):
                right, below = moved[roi, :, row, column].tolist()
                left = x1 - 0.5 + column * wide + reach * right * (x2 - x1)
                top = y1 - 0.5 + row * high + reach * below * (y2 - y1)
                for i in range(down):
                    for j in range(across):
                        y, x = top + (i + 0.5) * high / down, left + (j + 0.5) * wide / across
                        result[roi, :, row, column] += read(levels[level][image], y, x) / (down * across)
    return result


def written_out_beyond(boxes: Tensor, roi: int) -> Tensor:
    """One of these RoIs, sample by sample."""
    level = int(LEVELS.flatten()[roi])
    x1, y1, x2, y2 = (boxes.view(-1, 4)[roi] / STRIDES[level]).tolist()
    wide, high = (x2 - x1) / SIZE, (y2 - y1) / SIZE
    across, down = math.ceil(wide), math.ceil(high)
    result = torch.zeros(3, SIZE, SIZE, dtype=torch.float64)
    for row, column, i, j in itertools.product(range(SIZE), range(SIZE), range(down), range(across)):
        y, x = y1 - 0.5 + (row + (i + 0.5) / down) * high, x1 - 0.5 + (column + (j + 0.5) / across) * wide
        result[:, row, column] += read(maps()[level][roi // 3], y, x) / (down * across)
    return result


@layouts
@pytest.mark.parametrize(("sampling", "reach"), [(0, 0.1), (2, 0.3)])
def test_bins_are_the_sums_of_their_samples(lay_out, sampling: int, reach: float) -> None:
    found = deform_roi_pool(lay_out(maps(), STRIDES), BOXES, LEVELS, offsets(), sampling, reach)
    torch.testing.assert_close(found, written_out(maps(), offsets(), sampling, reach))
    still = deform_roi_pool(lay_out(maps(), STRIDES), BOXES, LEVELS, 0 * offsets(), sampling, reach)
    torch.testing.assert_close(still, roi_align(build_atlas(maps(), STRIDES), BOXES, LEVELS, SIZE, sampling))


@layouts
def test_gradients_are_slopes_also_beyond_the_edge(lay_out) -> None:
    def pooled(fine: Tensor, coarse: Tensor, moved: Tensor) -> Tensor:
        return deform_roi_pool(lay_out([fine, coarse], STRIDES), BOXES, LEVELS, moved)

    leaves = [leaf.requires_grad_() for leaf in (*maps(1), offsets())]
    assert torch.autograd.gradcheck(pooled, leaves, fast_mode=True)


@pytest.mark.parametrize(("kind", "rounding"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_other_precision_is_within_its_rounding(kind: torch.dtype, rounding: float) -> None:
    rounded = [level.to(kind) for level in maps()]
    found = deform_roi_pool(build_atlas(rounded, STRIDES), BOXES.float(), LEVELS, offsets().float())
    exact = deform_roi_pool(build_atlas([x.double() for x in rounded], STRIDES), BOXES, LEVELS, offsets())
    assert found.dtype == kind
    torch.testing.assert_close(found.double(), exact, rtol=rounding, atol=rounding)


def test_offsets_that_are_not_finite_and_no_rois() -> None:
    atlas, moved = build_atlas(maps(), STRIDES), offsets()
    for row, value in enumerate((math.nan, math.inf, -math.inf)):
        moved[1, 0, row] = value
    found = deform_roi_pool(atlas, BOXES, LEVELS, moved)
    assert found.isfinite().all()
    assert not found[1].any()
    assert deform_roi_pool(atlas, BOXES[:, :0], LEVELS[:, :0], moved[:0]).shape == (0, 3, SIZE, SIZE)


def extractor(version: int) -> tuple[DeformPool, Atlas]:
    torch.manual_seed(0)
    config = validate(DeformPool.Config, {"version": version, "channels": 5})
    return config.build(3, 2, SIZE, 0), build_atlas([level.float() for level in maps()], STRIDES)


@pytest.mark.parametrize(("version", "share"), [(1, 1.0), (2, 0.5)])
def test_a_fresh_one_moves_nothing(version: int, share: float) -> None:
    pool, atlas = extractor(version)
    boxes = BOXES.float() * 4
    still = roi_align(atlas, boxes, pyramid_levels(boxes, 2), SIZE)
    torch.testing.assert_close(pool(atlas, boxes), still * share)


def test_every_roi_goes_through_the_layers_of_its_level() -> None:
    pool, atlas = extractor(2)
    boxes = BOXES.float() * torch.tensor([1.0, 4.0])[:, None, None]
    levels = pyramid_levels(boxes, 2)
    assert levels.unique().tolist() == [0, 1]
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    found = pool(atlas, boxes)
    still = roi_align(atlas, boxes, levels, SIZE).flatten(1)
    for level, layer in enumerate(pool.roi_layers):
        moved = layer.get_submodule("offset_fc")(still).view(-1, 2, SIZE, SIZE)
        wanted = deform_roi_pool(atlas, boxes, levels, moved)
        wanted = wanted * layer.get_submodule("mask_fc")(still).view(-1, 1, SIZE, SIZE)
        mine = levels.flatten() == level
        torch.testing.assert_close(found[mine], wanted[mine])


def test_boxes_beyond_the_image_are_the_same_on_a_canvas() -> None:
    """Where the canvas has other levels, and plain RoIAlign would read them."""
    beyond = BOXES + torch.tensor([-9.0, -7.0, 20.0, 14.0])
    here = roi_align_beyond(build_atlas(maps(), STRIDES), beyond, LEVELS, SIZE)
    still = torch.zeros_like(offsets())
    torch.testing.assert_close(deform_roi_pool(_lay_out(maps(), STRIDES), beyond, LEVELS, still), here)
    torch.testing.assert_close(here[4], written_out_beyond(beyond, 4))


INTERPRETED = """
import torch
from detzoo.ops import deform_roi_pool as ops, deform_roi_pool_triton as triton_ops
from detzoo.ops.roi_align import _lay_out, with_image
from tests.test_deform_pool import BOXES, LEVELS, SIZE, STRIDES, maps, offsets
atlas = _lay_out(maps(), STRIDES)
rois, moves = with_image(BOXES / (STRIDES[0] << LEVELS).unsqueeze(-1)), offsets()
moves[4, 0, 1, 1], moves[4, 1, 0, 2] = torch.nan, -torch.inf
grad = torch.randn(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
for sampling in (0, 2):
    given = rois, LEVELS.flatten(), moves, atlas.places, sampling
    cells, bins = ops._cells(atlas.maps), ops._bins(*given)
    found = triton_ops.pool(cells, *bins).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, torch.ops.detzoo.deform_roi_pool(atlas.maps, *given))
    of_cells, of_moves = triton_ops.pool_backward(grad.permute(0, 2, 3, 1), cells, *bins)
    wanted = torch.ops.detzoo.deform_roi_pool_backward(grad, atlas.maps, *given)
    torch.testing.assert_close(ops._by_map(of_cells, atlas.maps)[0], wanted[0][0])
    torch.testing.assert_close(of_moves, wanted[1])
print("equal")
"""


def test_cuda_kernel_equals_the_cpu_in_tritons_interpreter() -> None:
    run_interpreted(INTERPRETED)


@pytest.mark.gpu
@pytest.mark.parametrize("sampling", [0, 2])
def test_cuda_equals_the_cpu(sampling: int) -> None:
    def pooled(device: str) -> list[Tensor]:
        inputs = [tensor.to(device).requires_grad_() for tensor in (*maps(150), offsets())]
        atlas = build_atlas(inputs[:2], STRIDES)
        found = deform_roi_pool(atlas, BOXES.to(device), LEVELS.to(device), inputs[2], sampling, 0.3)
        found.square().sum().backward()
        return [found, *(given.grad for given in inputs if given.grad is not None)]

    for here, there in zip(pooled("cpu"), pooled("cuda"), strict=True):
        torch.testing.assert_close(there.cpu(), here)
