"""DETR from MMDetection's settings: of version 3, and of version 2, where the head has the transformer.

Up to 2.10 the head is a ``TransformerHead``, and what all layers share is said once; from 2.11 on it is a ``DETRHead``.
"""

from __future__ import annotations

import math
from typing import Any

from detzoo.blocks.deform_transformer import DeformTransformerConfig
from detzoo.blocks.transformer import TransformerConfig
from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, learning, necks, parts, set_learning
from detzoo.interop.mmdet.parts import MOST_CHANNELS, MOST_LAYERS
from detzoo.interop.section import Section
from detzoo.methods.detr import DETR
from detzoo.necks.channel_mapper import ChannelMapper

# of a layer of the encoder and of the decoder: its attentions, by their name in version 3 without "_cfg"
ENCODER, DECODER = ("self_attn",), ("self_attn", "cross_attn")
_WIDTH = 256  # where it is left out


def detr(model: Section, input: Input) -> tuple[DETR.Config, int]:
    """Settings and number of classes of a ``DETR``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        if len(features.channels) != 1:
            given.section("backbone").differs("out_indices", "has no counterpart; one map has")
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg", {}) as test,
        ):
            oldest = head.kinds("DETRHead", "TransformerHead") == "TransformerHead"
            head.fixed("num_fcs" if oldest else "num_reg_fcs", 2)
            head.ignore("sync_cls_avg_factor")  # over devices, where counts are averaged here
            if oldest or head.has("transformer"):
                given.fixed("neck")
                parts.derived(head, "in_channels", features.channels[0])
                width, settings = _oldest(head) if oldest else _two(head)
                default = {"type": "SinePositionalEncoding", "num_feats": _WIDTH // 2, "normalize": True}
                settings["temperature"] = positions(head.section("positional_encoding", default), width)
                neck = ChannelMapper.Config(out_channels=width)
                queries = test.whole("max_per_img") if oldest else head.whole("num_query", 100)
            else:
                neck, mapped = necks.channel_mapper(given.section("neck"), features)
                parts.derived(head, "embed_dims", mapped.channels[0])
                settings = _three(given, mapped.channels[0])
                queries = given.whole("num_queries", 100)
            settings |= _losses(head)
            settings |= set_learning.matched(train)
            settings |= {"queries": queries, "detections": test.whole("max_per_img", queries)}
            classes = head.whole("num_classes")
        return DETR.Config.model_validate({"input": input, "backbone": backbone, "neck": neck, **settings}), classes


def _three(model: Section, width: int) -> dict[str, Any]:
    """The transformer in the model."""
    return {
        "temperature": positions(model.section("positional_encoding"), width),
        "encoder": _encoder(model.section("encoder"), width),
        "decoder": _decoder(model.section("decoder"), width, all_by_default=True),
    }


def _oldest(head: Section) -> tuple[int, dict[str, Any]]:
    """Width and settings of the transformer in a ``TransformerHead``, whose layers are all alike."""
    default = {"type": "Transformer", "embed_dims": _WIDTH, "dropout": 0.1, "return_intermediate_dec": True}
    with head.section("transformer", default) as given:
        given.kinds("Transformer")
        given.fixed("norm_cfg", {"type": "LN"})
        given.fixed("num_fcs", 2)
        given.fixed("pre_norm", False)
        parts.relu(given)
        every_layer_learns(given, "return_intermediate_dec", False)
        shared = {
            "heads": given.whole("num_heads", 8),
            "hidden": given.whole("feedforward_channels", 2048, MOST_CHANNELS),
            "dropout": given.number("dropout", 0.0),
        }
        settings = {
            part: TransformerConfig(layers=given.whole(f"num_{part}_layers", 6, MOST_LAYERS), **shared)
            for part in ("encoder", "decoder")
        }
        return given.whole("embed_dims", most=MOST_CHANNELS), settings


def _two(head: Section) -> tuple[int, dict[str, Any]]:
    """Width and settings of the transformer in a ``DETRHead``."""
    with head.section("transformer") as given:
        given.kinds("Transformer")
        parts.relu(given)
        first = given.section("encoder").section("transformerlayers").sections("attn_cfgs")
        width = first[0].whole("embed_dims", most=MOST_CHANNELS) if first else _WIDTH
        settings = {
            "encoder": _encoder(given.section("encoder"), width),
            "decoder": _decoder(given.section("decoder"), width, all_by_default=False),
        }
    return width, settings


def positions(given: Section, width: int, offset: float = 0.0, usual: bool = False) -> float:
    """The temperature of a ``SinePositionalEncoding`` in parts of the image's size.

    Args:
        given: its section.
        width: channels.
        offset: cells that places are moved by.
        usual: refuse another temperature than the paper's.
    """
    with given:
        if given.has("type"):
            given.kinds("SinePositionalEncoding")
        parts.derived(given, "num_feats", width // 2)
        if not given.flag("normalize", False):
            given.differs("normalize", "has no counterpart (left out it is False); True has")
        if usual:
            given.fixed("temperature", 10000)
        temperature = given.number("temperature", 10000.0)
        given.fixed("scale", 2 * math.pi)
        given.fixed("eps", 1e-6)
        if given.number("offset", 0.0) != offset:
            given.differs("offset", f"has no counterpart (left out it is 0); {offset:g} has")
    return temperature


def _encoder(given: Section, width: int) -> TransformerConfig:
    with given:
        if given.has("type"):
            given.kinds("DetrTransformerEncoder")
        given.ignore("post_norm_cfg")  # of layers that normalize first, which are refused
        return layers(given, width, "BaseTransformerLayer", ENCODER)


def _decoder(given: Section, width: int, all_by_default: bool) -> TransformerConfig:
    with given:
        if given.has("type"):
            given.kinds("DetrTransformerDecoder")
        if given.take("post_norm_cfg", None if "post_norm_cfg" in given.values else {"type": "LN"}) != {"type": "LN"}:
            given.differs("post_norm_cfg", "has no counterpart; dict(type='LN') has")
        every_layer_learns(given, "return_intermediate", all_by_default)
        return layers(given, width, "DetrTransformerDecoderLayer", DECODER)


def every_layer_learns(given: Section, name: str, default: bool) -> None:
    """The flag ``name``, which says that every layer of the decoder does."""
    if not given.flag(name, default):
        given.noted(name, "has no counterpart: every layer of the decoder learns from the objects")


def layers(
    given: Section, width: int, kind: str, attentions: tuple[str, ...], levels: int | None = None
) -> TransformerConfig:
    """``num_layers`` of one kind, each an attention or two and a feed-forward layer.

    With ``levels`` the last attention is deformable, on so many.
    """
    given.ignore("num_cp")  # memory for time
    old = given.has("transformerlayers")
    with given.section("transformerlayers" if old else "layer_cfg") as layer:
        layer.fixed("norm_cfg", {"type": "LN"})
        if old:
            layer.kinds(kind, "BaseTransformerLayer")
            order = [step for attention in attentions for step in (attention, "norm")]
            layer.fixed("operation_order", [*order, "ffn", "norm"])
            layer.ignore("batch_first")  # how tensors are laid out
            found = layer.sections("attn_cfgs")
            if len(found) not in ((1, len(attentions)) if levels is None else (len(attentions),)):
                layer.differs("attn_cfgs", f"does not fit {' and '.join(attentions)}")
            hidden, drop = _old_feed_forward(layer, width)
        else:
            default = {"embed_dims": _WIDTH, "num_heads": 8}
            found = [layer.section(f"{attention}_cfg", default) for attention in attentions]
            hidden, drop = _feed_forward(layer.section("ffn_cfg", {}), width)
        read = [_attention(one, width) for one in (found if levels is None else found[:-1])]
        points: dict[str, int] = {}
        if levels is not None:
            last, points["points"] = _deform_attention(found[-1], width, levels)
            read.append(last)
        heads, drops = zip(*read, strict=True)
        for one, count in zip(found, heads, strict=True):
            if count != heads[0]:
                one.differs("num_heads", "differs from the layer's other attention")
        if {drop, *(each for pair in drops for each in pair)} != {drop}:
            layer.notes.append(f"{layer.path}: all of a layer drops as much as its feed-forward layer, {drop:g}")
    made = TransformerConfig if levels is None else DeformTransformerConfig
    return made(
        layers=given.whole("num_layers", most=MOST_LAYERS), heads=heads[0], hidden=hidden, dropout=drop, **points
    )


def _attention(given: Section, width: int) -> tuple[int, tuple[float, float]]:
    """Heads of a ``MultiheadAttention``, and how much of its weights and of its result is dropped."""
    with given:
        if given.has("type"):
            given.kinds("MultiheadAttention")
        parts.derived(given, "embed_dims", width)
        given.ignore("batch_first")  # how tensors are laid out
        both = given.number("dropout", 0.0)  # the old name of two settings
        result = given.number("proj_drop", 0.0)
        with given.section("dropout_layer", {"type": "Dropout"}) as layer:
            layer.training = True
            if learning.known(layer, "Dropout"):
                result = result or layer.number("drop_prob", both)
        return given.whole("num_heads"), (given.number("attn_drop", both), result)


def _deform_attention(given: Section, width: int, levels: int) -> tuple[tuple[int, tuple[float, float]], int]:
    """A ``MultiScaleDeformableAttention`` as `_attention` gives it, and its places on a level."""
    with given:
        if given.has("type"):
            given.kinds("MultiScaleDeformableAttention")
        parts.derived(given, "embed_dims", width)
        if given.whole("num_levels", 4) != levels:
            given.differs("num_levels", f"does not fit the neck, which gives {levels} (left out it is 4)")
        given.fixed("value_proj_ratio", 1.0)
        given.ignore("batch_first")  # how tensors are laid out
        given.ignore("im2col_step", "norm_cfg")  # how it is computed; is not used there
        drop = given.number("dropout", 0.1)
        return (given.whole("num_heads", 8), (drop, drop)), given.whole("num_points", 4, MOST_LAYERS)


def _old_feed_forward(layer: Section, width: int) -> tuple[int, float]:
    """``ffn_cfgs``, or the older settings of a layer that stand for it."""
    names = {"feedforward_channels": "feedforward_channels", "ffn_dropout": "ffn_drop", "ffn_num_fcs": "num_fcs"}
    parts.relu(layer)
    beside = {new: layer.take(old) for old, new in names.items() if layer.has(old)}
    given = layer.section("ffn_cfgs", {})
    given.values = {**given.values, **beside}
    return _feed_forward(given, width)


def _feed_forward(given: Section, width: int) -> tuple[int, float]:
    """Hidden channels of an ``FFN``, and how much it drops."""
    with given:
        if given.has("type"):
            given.kinds("FFN")
        parts.derived(given, "embed_dims", width)
        given.fixed("num_fcs", 2)
        given.fixed("add_identity", True)
        given.fixed("add_residual", True)
        parts.relu(given)
        if given.has("dropout_layer"):
            given.noted("dropout_layer", "has no counterpart; None has")
        return given.whole("feedforward_channels", 1024, MOST_CHANNELS), given.number("ffn_drop", 0.0)


def _losses(head: Section) -> dict[str, Any]:
    """``loss_cls``, ``loss_bbox`` and ``loss_iou`` as settings ``losses`` and ``background``."""
    default = {"type": "CrossEntropyLoss", "bg_cls_weight": 0.1, "class_weight": 1.0}
    with head.section("loss_cls", default) as given:
        if given.kind != "CrossEntropyLoss" and given.take("use_sigmoid") is not False:
            given.differs("type", "has no counterpart; CrossEntropyLoss has")  # its scores may be sigmoids
        given.fixed("use_sigmoid", False)
        given.training = True
        weights, background = {}, DETR.Config().background
        if learning.known(given, "CrossEntropyLoss"):
            given.fixed("reduction", "mean")
            share = given.number("class_weight", 0.0)
            if share != 1:
                given.noted("class_weight", "has no counterpart; 1.0 has")
            weights = {"cls": given.number("loss_weight", 1.0)}
            background = given.number("bg_cls_weight", 1.0)
    return {"losses": weights | set_learning.box_weights(head), "background": background}


__all__ = ["DECODER", "ENCODER", "detr", "every_layer_learns", "layers", "positions"]
