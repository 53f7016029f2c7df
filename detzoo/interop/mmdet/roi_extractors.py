"""Pooling of RoIs from MMDetection's settings."""

from __future__ import annotations

from dataclasses import dataclass

from detzoo.blocks.deform_pool import DeformPool
from detzoo.blocks.groie import GRoIE
from detzoo.blocks.roi_heads import AnyRoIExtractor, SingleLevel
from detzoo.blocks.unaligned import Unaligned
from detzoo.interop.mmdet import parts, plugins
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section

_DEFORMED = {"DeformRoIPoolPack": 1, "ModulatedDeformRoIPoolPack": 2}  # versions


@dataclass(frozen=True)
class Pooled:
    """Features of RoIs.

    Attributes:
        size: bins per side.
        sampling: samples per bin and side.
        levels: of the pyramid, that RoIs are pooled from.
        channels: that the heads are given.
        bins: per side, that the heads are given.
        kind: how they are pooled.
    """

    size: int
    sampling: int
    levels: int
    channels: int
    bins: int
    kind: AnyRoIExtractor


def extractor(given: Section, features: Features) -> Pooled:
    """``SingleRoIExtractor`` with ``RoIAlign`` or a layer of `_DEFORMED`, ``GenericRoIExtractor`` with ``RoIAlign``."""
    with given:
        kind = given.kinds("SingleRoIExtractor", "GenericRoIExtractor")
        channels = features.channels[0]
        parts.derived(given, "out_channels", channels)
        strides = given.wholes("featmap_strides")
        parts.derived(given, "featmap_strides", features.strides[: len(strides)])
        layer = given.section("roi_layer")
        if kind == "SingleRoIExtractor":
            given.fixed("finest_scale", 56)
            size, sampling, made = _single(layer, channels)
        else:
            size, sampling = _align(layer)
            made = _groie(given, channels)
            if len(strides) == 1:
                given.differs("featmap_strides", "is one level, on which MMDetection leaves out pre_cfg and post_cfg")
        return Pooled(size, sampling, len(strides), channels, size, made)


def _single(given: Section, channels: int) -> tuple[int, int, AnyRoIExtractor]:
    """Bins and samples of a layer that pools from one level, and its kind."""
    if given.kind not in _DEFORMED:
        aligned = given.flag("aligned", True)
        return *_align(given, aligned), SingleLevel.Config() if aligned else Unaligned.Config()
    with given as layer:
        parts.derived(layer, "output_channels", channels)
        settings = {
            "version": _DEFORMED[layer.kind],
            "channels": layer.whole("deform_fc_channels", 1024, MOST_CHANNELS),
            "reach": layer.number("gamma", 0.1),
        }
        return _bins(layer), layer.whole("sampling_ratio", 0, 64), DeformPool.Config.model_validate(settings)


def _align(given: Section, aligned: bool = True) -> tuple[int, int]:
    """Bins and samples of ``RoIAlign``, which has to be ``aligned`` or not."""
    with given as layer:
        layer.kinds("RoIAlign")
        layer.fixed("aligned", aligned)
        layer.fixed("pool_mode", "avg")
        layer.ignore("use_torchvision")  # two programs for the same
        for old, new in (("out_size", "output_size"), ("sample_num", "sampling_ratio")):
            parts.renamed(layer, old, new)  # of the first versions of 2
        return _bins(layer), layer.whole("sampling_ratio", 0, 64)


def _bins(layer: Section) -> int:
    """``output_size``: one number, or the same for height and width."""
    if not isinstance(layer.take("output_size"), list | tuple):
        return layer.whole("output_size", most=64)
    height, width = layer.wholes("output_size", count=2)
    if height != width or not 1 <= height <= 64:
        layer.differs("output_size", "has no counterpart; a square of up to 64 has")
    return height


def _groie(given: Section, channels: int) -> GRoIE.Config:
    """``GenericRoIExtractor`` with a convolution before the sum, and one of `plugins.READERS` behind it."""
    given.fixed("aggregation", "sum")
    kernel = after = None
    if given.has("pre_cfg"):
        with given.section("pre_cfg") as before:
            before.kinds("ConvModule")
            for name in ("in_channels", "out_channels"):
                parts.derived(before, name, channels)
            kernel = before.whole("kernel_size")
            before.fixed("padding", kernel // 2)
            if before.take("padding", 0) != kernel // 2:
                before.differs("kernel_size", "without padding has no counterpart")
            for name in ("stride", "dilation", "groups"):
                before.fixed(name, 1)
            for name in ("conv_cfg", "norm_cfg"):
                before.fixed(name)
            before.fixed("bias", "auto", True)
            before.fixed("act_cfg", {"type": "ReLU"})
    if given.has("post_cfg"):
        block = given.section("post_cfg")
        parts.derived(block, "in_channels", channels)
        after = plugins.READERS[block.kinds(*plugins.READERS)](block)
    return GRoIE.Config.model_validate({"kernel": kernel, "after": after})


__all__ = ["Pooled", "extractor"]
