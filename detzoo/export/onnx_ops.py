"""What our operators, and those of torch that its exporter lacks, are in ONNX: functions that add nodes to a graph.

Arguments are those of the operator of the same name in `detzoo.ops`, which says what they are. Shapes that depend on
data are fine here, and so are tables: a runtime of ONNX files waits for no device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from onnxscript import BOOL, FLOAT, INT64, opset18, script

import detzoo.ops.deform_roi_pool
import detzoo.ops.nms
import detzoo.ops.roi_align
import detzoo.ops.soft_nms  # noqa: F401 (all four for their operators)

op: Any = opset18  # as what torch's exporter is written in; it brings the whole to the version that is asked for

LEAST = -3e38  # no score is as low
SLIVER = 2.0**-20  # by which share of it a bin is narrower: rounding would make some wider, with one sample more


def rank(scores: FLOAT, valid: BOOL, limit: int) -> tuple[INT64, BOOL]:
    """Of equal scores the first comes first, as ONNX promises of TopK."""
    _, index = op.TopK(op.Where(valid, scores, LEAST), op.Reshape(limit, [1]), axis=1)
    number = op.ReduceSum(op.Cast(valid, to=INT64.dtype), [1], keepdims=1)
    used = op.Less(op.Range(0, limit, 1), number)
    return op.Mul(index, op.Cast(used, to=INT64.dtype)), used


def nms(boxes: FLOAT, groups: INT64, valid: BOOL, threshold: float, group_count: int, pixels: bool = False) -> BOOL:
    """Groups are ONNX's classes: each has scores of its own, which fall from slot to slot and are -1 of other slots.

    ``pixels`` are as in `detzoo.export.plain_ops.nms`.
    """
    if pixels:
        low, high = op.Split(boxes, axis=2, num_outputs=2)
        wide = op.GreaterOrEqual(op.ReduceMin(op.Sub(high, low), [2]), 1.0)
        boxes = op.Mul(boxes, op.Cast(wide, to=FLOAT.dtype))
    shape = op.Shape(valid)
    slots = op.Gather(shape, 1)
    own = op.Equal(op.Unsqueeze(groups, [1]), op.Unsqueeze(op.Range(0, group_count, 1), [1]))
    falling = op.Cast(op.Range(slots, 0, -1), to=FLOAT.dtype)
    scores = op.Where(op.And(own, op.Unsqueeze(valid, [1])), falling, -1.0)
    found = op.NonMaxSuppression(boxes, scores, slots, threshold, 0.0)
    ones = op.Expand(1, op.Shape(found, start=0, end=1))
    kept = op.ScatterND(op.Expand(0, shape), op.Gather(found, [0, 2], axis=1), ones)
    return op.Cast(kept, to=BOOL.dtype)


@script(opset18)
def _turns(
    boxes: FLOAT,
    scores: FLOAT,
    valid: BOOL,
    groups: INT64,
    limit: INT64,
    threshold: FLOAT,
    sigma: FLOAT,
    gaussian: BOOL,
    min_score: FLOAT,
) -> FLOAT:
    """As `detzoo.ops.soft_nms.soft_nms_on_device`."""
    gone = op.Constant(value_float=-1.0)
    last = op.Constant(value_ints=[2])
    left = op.Where(valid, scores, gone)
    final = op.Mul(scores, op.Constant(value_float=0.0))
    low, high = op.Split(boxes, axis=2, num_outputs=2)
    sides = op.Sub(high, low)
    area = op.ReduceProd(sides, last, keepdims=0)
    for _ in range(limit):  # pyright: ignore[reportArgumentType] (a loop of ONNX)
        best = op.ArgMax(left, axis=1)
        top = op.GatherElements(left, best, axis=1)
        some = op.GreaterOrEqual(top, min_score)
        final = op.ScatterElements(final, best, op.Where(some, top, op.GatherElements(final, best, axis=1)), axis=1)
        corners = op.GatherND(boxes, best, batch_dims=1)
        low_best, high_best = op.Split(op.Unsqueeze(corners, op.Constant(value_ints=[1])), axis=2, num_outputs=2)
        common_sides = op.Relu(op.Sub(op.Min(high, high_best), op.Max(low, low_best)))
        common = op.ReduceProd(common_sides, last, keepdims=0)
        union = op.Sub(op.Add(area, op.GatherElements(area, best, axis=1)), common)
        overlap = op.Div(common, op.Max(union, op.Constant(value_float=1e-6)))
        soft = op.Exp(op.Neg(op.Div(op.Mul(overlap, overlap), sigma)))
        one = op.Constant(value_float=1.0)
        linear = op.Where(op.GreaterOrEqual(overlap, threshold), op.Sub(one, overlap), one)
        decay = op.Where(gaussian, soft, linear)
        alike = op.Equal(groups, op.GatherElements(groups, best, axis=1))
        touched = op.And(alike, op.GreaterOrEqual(left, op.Constant(value_float=0.0)))
        decayed = op.Where(touched, op.Mul(left, decay), left)
        left = op.ScatterElements(decayed, best, op.Add(op.Mul(top, op.Constant(value_float=0.0)), gone), axis=1)
    return final


def soft_nms(
    boxes: FLOAT,
    scores: FLOAT,
    valid: BOOL,
    groups: INT64,
    threshold: float,
    sigma: float,
    gaussian: bool,
    min_score: float,
    limit: int,
) -> tuple[FLOAT, BOOL]:
    """A loop of as many turns as there are results."""
    limit = op.Min(limit, op.Gather(op.Shape(valid), 1))
    turns: Any = _turns  # which takes numbers, too
    final = turns(boxes, scores, valid, groups, limit, threshold, sigma, gaussian, min_score)
    return final, op.Greater(final, 0.0)


def roi_align(maps: Sequence[FLOAT], rois: FLOAT, levels: INT64, size: int, sampling: int) -> FLOAT:
    """Each level's RoIs are pooled from its map, and then put in their old order."""
    rois = op.Where(op.IsNaN(rois), 0.0, rois)
    image = op.Cast(op.Gather(rois, 0, axis=1), to=INT64.dtype)
    boxes = op.Slice(rois, [1], [5], [1])
    pooled, places = [], []
    for level, features in enumerate(maps):
        place = op.Reshape(op.NonZero(op.Equal(levels, level)), [-1])
        own = _pooled(features, op.Gather(boxes, place), op.Gather(image, place), size, sampling)
        pooled.append(own)
        places.append(place)
    place = op.Concat(*places, axis=0)
    order = op.ScatterElements(place, place, op.Range(0, op.Size(place), 1), axis=0)
    return op.Gather(op.Concat(*pooled, axis=0), order)


def _pooled(features: FLOAT, boxes: FLOAT, image: INT64, size: int, sampling: int) -> FLOAT:
    return op.RoiAlign(
        features,
        boxes,
        image,
        coordinate_transformation_mode="half_pixel",
        output_height=size,
        output_width=size,
        sampling_ratio=sampling,
    )


def deform_roi_pool(
    maps: Sequence[FLOAT], rois: FLOAT, levels: INT64, moves: FLOAT, places: Sequence[int], sampling: int
) -> FLOAT:
    """Every bin is a RoI of its own, of one bin."""
    size: int = cast(Any, moves).shape[2]
    image, low, high = (op.Slice(rois, [start], [end], [1]) for start, end in ((0, 1), (1, 3), (3, 5)))
    step = op.Unsqueeze(op.Div(op.Sub(high, low), float(size)), [2, 3])
    line = op.Cast(op.Range(0, size, 1), to=FLOAT.dtype)
    row = op.Expand(op.Reshape(line, [1, 1, 1, size]), [1, 1, size, size])
    bins = op.Concat(row, op.Transpose(row, perm=[0, 1, 3, 2]), axis=1)
    start = op.Add(op.Add(op.Mul(bins, step), op.Unsqueeze(low, [2, 3])), moves)
    end = op.Add(start, op.Sub(step, op.Mul(step, SLIVER)))
    image = op.Expand(op.Unsqueeze(image, [2, 3]), [1, 1, size, size])
    parts = op.Transpose(op.Concat(image, start, end, axis=1), perm=[0, 2, 3, 1])
    own = op.Reshape(op.Expand(op.Unsqueeze(levels, [1]), [1, size * size]), [-1])
    found = roi_align(maps, op.Reshape(parts, [-1, 5]), own, 1, sampling)
    channels_first = op.Transpose(op.Squeeze(found, [2, 3]), perm=[1, 0])
    return op.Transpose(op.Reshape(channels_first, [0, -1, size, size]), perm=[1, 0, 2, 3])


def remainder(number: INT64, divisor: int) -> INT64:
    """The divisor, whose sign the remainder has, may be a side of the image; torch's exporter knows numbers alone."""
    divisor = op.CastLike(divisor, number)
    if cast(Any, number).dtype.is_integer():
        return op.Mod(number, divisor)
    return op.Sub(number, op.Mul(op.Floor(op.Div(number, divisor)), divisor))


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.detzoo.rank.default: rank,
    torch.ops.detzoo.nms.default: nms,
    torch.ops.detzoo.soft_nms.default: soft_nms,
    torch.ops.detzoo.roi_align.default: roi_align,
    torch.ops.detzoo.deform_roi_pool.default: deform_roi_pool,
    torch.ops.aten.remainder.Scalar: remainder,
}
