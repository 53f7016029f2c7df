"""Deformable DETR from MMDetection's settings: of version 3, and of version 2, where the head has the transformer."""

from __future__ import annotations

from typing import Any

from detzoo.detector import Input
from detzoo.interop.mmdet import backbones, necks, set_learning
from detzoo.interop.mmdet.detr import DECODER, ENCODER, every_layer_learns, layers, positions
from detzoo.interop.section import Section
from detzoo.methods.deformable_detr import DeformableDETR

_MIDDLE = -0.5  # `offset` that puts a cell's place into its middle


def deformable_detr(model: Section, input: Input) -> tuple[DeformableDETR.Config, int]:
    """Settings and number of classes of a ``DeformableDETR``."""
    with model as given:
        backbone, features = backbones.backbone(given.section("backbone"))
        neck, mapped = necks.channel_mapper(given.section("neck"), features)
        width, levels = mapped.channels[0], len(mapped.channels)
        with (
            given.section("bbox_head") as head,
            given.section("train_cfg", {}, training=True) as train,
            given.section("test_cfg", {}) as test,
        ):
            head.kinds("DeformableDETRHead")
            head.fixed("num_reg_fcs", 2)
            head.ignore("sync_cls_avg_factor")  # over devices, where counts are averaged here
            head.ignore("in_channels")  # is not used there
            head.fixed("embed_dims", width)
            old = head.has("transformer")
            owner = head if old else given
            positions(owner.section("positional_encoding"), width, _MIDDLE, usual=True)
            settings: dict[str, Any] = {
                "refine": owner.flag("with_box_refine", False),
                "two_stage": owner.flag("as_two_stage", False),
            }
            queries = owner.whole("num_query" if old else "num_queries", 100)
            if old:
                with head.section("transformer") as transformer:
                    transformer.kinds("DeformableDetrTransformer")
                    proposals = transformer.whole("two_stage_num_proposals", 300)
                    queries = proposals if settings["two_stage"] else queries
                    settings |= _transformer(transformer, width, levels)
            else:
                settings |= _transformer(given, width, levels)
            settings["losses"] = set_learning.box_weights(head) | set_learning.focal_weight(head)
            settings |= set_learning.matched(train, "FocalLossCost")
            settings |= {"queries": queries, "detections": test.whole("max_per_img", queries)}
            classes = head.whole("num_classes")
        settings |= {"input": input, "backbone": backbone, "neck": neck}
        return DeformableDETR.Config.model_validate(settings), classes


def _transformer(given: Section, width: int, levels: int) -> dict[str, Any]:
    """``encoder`` and ``decoder``, on so many levels."""
    if given.whole("num_feature_levels", 4) != levels:
        given.differs("num_feature_levels", f"does not fit the neck, which gives {levels} (left out it is 4)")
    with given.section("encoder") as encoder, given.section("decoder") as decoder:
        if encoder.has("type"):
            encoder.kinds("DetrTransformerEncoder")
        if decoder.has("type"):
            decoder.kinds("DeformableDetrTransformerDecoder")
        for part in (encoder, decoder):
            part.fixed("post_norm_cfg")
        every_layer_learns(decoder, "return_intermediate", not given.has("type"))
        return {
            "encoder": layers(encoder, width, "BaseTransformerLayer", ENCODER, levels),
            "decoder": layers(decoder, width, "DetrTransformerDecoderLayer", DECODER, levels),
        }


__all__ = ["deformable_detr"]
