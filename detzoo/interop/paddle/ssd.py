"""SSD and SSDLite from PaddleDetection's settings, of both kinds of releases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detzoo.detector import Input
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.suppression import suppressed
from detzoo.interop.section import LARGEST, Section
from detzoo.methods.ssd import SSD
from detzoo.necks.ssd import SSDNeck
from detzoo.recipes.paddle_ssd import MOBILENET_VOC, VGG300, VGG512

_MODELS = {6: VGG300, 7: VGG512}  # by how many maps there are
_WHOLE = ("MobileNetV3", "GhostNet")  # which have all maps themselves
_SIZES = (30.0, 60.0, 111.0, 162.0, 213.0, 264.0, 315.0)  # of squares, of the code of both kinds of releases
_STATIC_SIZES = (60.0, 105.0, 150.0, 195.0, 240.0, 285.0, 300.0)


def ssd(parts: Parts, model: Section, input: Input) -> SSD.Config:
    """``SSD``."""
    model.fixed("r34_backbone", False)
    network = parts.part(model, "backbone", "VGG", "MobileNet", *_WHOLE)
    boxes = _static_boxes(parts, model) if parts.static else _boxes(parts, model)
    usual = _MODELS.get(len(boxes["ratios"]))
    if network.kind == "MobileNet":
        usual = MOBILENET_VOC.replace(neck=MOBILENET_VOC.neck.replace(**_extra_maps(parts, network)))
    elif network.kind in _WHOLE:
        usual = MOBILENET_VOC.replace(neck=SSDNeck.Config(out_channels=(), steps=(), paddings=(), scale=None))
    if usual is None:
        model.differs("backbone", "has another number of maps than 6 or 7, which have a counterpart")
        usual = VGG300
    backbone = read_backbone(parts, model)
    return usual.replace(input=input, backbone=backbone, head=usual.head.replace(**boxes))


def _extra_maps(parts: Parts, network: Section) -> dict[str, Any]:
    """Those behind MobileNet, each made by a 1x1 convolution to half as many channels and a 3x3."""
    pairs = network.take("extra_block_filters", [[256, 512], [128, 256], [128, 256], [64, 128]])
    channels = [pair[-1] if isinstance(pair, list) and pair else 0 for pair in pairs] if isinstance(pairs, list) else []
    if (
        not channels
        or not all(isinstance(width, int) and width > 1 for width in channels)
        or (pairs != [[width // 2, width] for width in channels])
    ):
        network.differs("extra_block_filters", "has no counterpart; pairs of half a width and that width have")
    if not network.flag("with_extra_blocks", False):
        network.differs("with_extra_blocks", "has no counterpart here; true has")
    if not parts.static:
        network.fixed("feature_maps", [11, 13, *range(14, 14 + len(channels))])
    return {"out_channels": tuple(channels), "relu6": not parts.static}


def _static_boxes(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "multi_box_head", "MultiBoxHead") as given:
        given.ignore("base_size", "min_ratio", "max_ratio")  # sizes say it in pixels
        settings = _default_boxes(given, None, *_STATIC_BOXES) | kernel(given, "pad", 1)
        given.fixed("flip", True)
    return settings | detections(parts, model)


def _boxes(parts: Parts, model: Section) -> dict[str, Any]:
    with parts.part(model, "ssd_head", "SSDHead") as given:
        given.ignore("loss")  # of training
        given.fixed("use_extra_head", False)
        with parts.part(given, "anchor_generator", "AnchorGeneratorSSD") as anchors:
            settings = kernel(given, "padding", 3) | _default_boxes(anchors, (8, 16, 32, 64, 100, 300), *_BOXES)
            separable = given.flag("use_sepconv", False)
            settings |= {"separable": separable, "biased": not separable, "inside": anchors.flag("clip", False)}
            anchors.fixed("flip", True)
            anchors.ignore("base_size", "min_ratio", "max_ratio")  # sizes say it in pixels
    return settings | detections(parts, model)


def detections(parts: Parts, model: Section, together: bool = False) -> dict[str, Any]:
    """What is returned of the boxes that were found; ``together``: no more enter than are said for all maps."""
    if parts.static:
        return _suppressed(parts, model, "output_decoder", together)
    with parts.part(model, "post_process", "BBoxPostProcess") as given:
        with parts.part(given, "decode", "SSDBox") as decoded:
            decoded.ignore("use_fuse_decode")  # one operator for several
            decoded.fixed("is_normalized", True)
            decoded.fixed("prior_box_var", [0.1, 0.1, 0.2, 0.2])
        return _suppressed(parts, given, "nms", together)


def kernel(given: Section, padding: str, usual: int) -> dict[str, Any]:
    """Size of the convolutions that predict."""
    kernel = given.whole("kernel_size", usual)
    if given.whole(padding, usual // 2) != kernel // 2:
        given.differs(padding, f"has no counterpart; {kernel // 2} has")
    return {"kernel": kernel}


# aspect ratios, smallest and largest sizes of the maps where they are not said
_BOXES = [[2.0], [2.0, 3.0], [2.0, 3.0], [2.0, 3.0], [2.0], [2.0]], _SIZES[:-1], list(_SIZES[1:])
_STATIC_BOXES = [[2.0], *[[2.0, 3.0]] * 5], _STATIC_SIZES[:-1], [[], *_STATIC_SIZES[2:]]


def _default_boxes(
    given: Section, steps: tuple[int, ...] | None, ratios: Any, small: Sequence[float], large: list[Any]
) -> dict[str, Any]:
    """Default boxes; ``steps`` where they are not said, None or zeros: cells of a map share the picture evenly."""
    ratios = given.take("aspect_ratios", ratios)
    if not isinstance(ratios, list) or not all(isinstance(one, int | float | list) for one in ratios):
        given.differs("aspect_ratios", "is no list of a list for each map")
    rows = [one if isinstance(one, list) else [one] for one in ratios]
    ratios = [Section({"aspect_ratios": row}, given.path, given.notes).numbers("aspect_ratios") for row in rows]
    small = given.numbers("min_sizes", small)
    large = given.take("max_sizes", large)
    if not isinstance(large, list):
        given.differs("max_sizes", "is no list of sizes")
    if not small and large == []:
        small, large = _even_sizes(given, len(ratios))
    first_mean = large[:1] != [[]]  # a list for a map may be empty
    following = Section({"max_sizes": list(large) if first_mean else large[1:]}, given.path, given.notes).numbers(
        "max_sizes"
    )
    if not following or small[1 if first_mean else 2 :] != following[:-1]:
        given.differs("max_sizes", "have no counterpart; the next of min_sizes have")
    given.fixed("offset", 0.5)
    settings: dict[str, Any] = {
        "sizes": (*small, following[-1]),
        "first_mean": first_mean,
        "ratios": tuple(ratios),
        "mean_last": not given.flag("min_max_aspect_ratios_order", False),
    }
    found = given.wholes("steps", steps) if given.has("steps") or steps else ()
    return settings | ({"steps": found, "spread": False} if any(found) else {"spread": True})


def _even_sizes(given: Section, maps: int) -> tuple[tuple[float, ...], list[float]]:
    """Sizes in even steps from a share of the input to another, in percent, behind those of the first map."""
    edge, least, most = given.whole("base_size", 300), given.whole("min_ratio", 15), given.whole("max_ratio", 90)
    if maps < 3 or most - least < maps - 2 or least < 1:
        given.differs("aspect_ratios", "has no counterpart with these min_ratio and max_ratio and without min_sizes")
    step = (most - least) // (maps - 2)
    shares = [10, *range(least, least + (maps - 1) * step, step)]
    return tuple(edge * share / 100 for share in shares), [
        edge * share / 100 for share in (20, *shares[2:], shares[-1] + step)
    ]


def _suppressed(parts: Parts, owner: Section, slot: str, together: bool) -> dict[str, Any]:
    with parts.part(owner, slot, "SSDOutputDecoder", "MultiClassNMS") as nms:
        decoder = nms.kind == "SSDOutputDecoder"
        nms.fixed("normalized", True)
        settings = suppressed(nms, 0.01, 0.45, 200) if decoder else suppressed(nms)
        if together:
            most = nms.whole("nms_top_k", 400 if decoder else -1)
            settings |= {"candidates": most if most > 0 else LARGEST, "together": True}
        return settings


__all__ = ["detections", "kernel", "ssd"]
