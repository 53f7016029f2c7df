"""Blocks in the stages of a backbone from MMDetection's settings."""

from __future__ import annotations

from collections.abc import Callable

from detzoo.blocks.generalized_attention import GeneralizedAttention
from detzoo.blocks.plugins import AnyPlugin, Plugin
from detzoo.interop.context_block import context_block
from detzoo.interop.section import Section


def plugins(backbone: Section, stages: int) -> tuple[Plugin, ...]:
    """The list ``plugins`` of a backbone of as many ``stages``."""
    return tuple(_plugin(one, stages) for one in backbone.sections("plugins"))


def _plugin(given: Section, stages: int) -> Plugin:
    with given:
        which = given.take("stages", (True,) * stages)
        if not isinstance(which, list | tuple) or [type(one) for one in which] != [bool] * stages:
            given.differs("stages", f"is no list of {stages} times True or False")
        place = given.word("position")
        block = given.section("cfg")
        return Plugin.model_validate(
            {
                "block": READERS[block.kinds(*READERS)](block),
                "stages": tuple(number for number, one in enumerate(which, 1) if one),
                "after": place.removeprefix("after_"),
            }
        )


def generalized_attention(block: Section) -> GeneralizedAttention.Config:
    """``GeneralizedAttention``."""
    with block as given:
        given.fixed("spatial_range", -1)
        given.fixed("position_embedding_dim", -1)
        given.fixed("position_magnitude", 1)
        given.fixed("q_stride", 1)
        terms = given.word("attention_type", "1111")
        return GeneralizedAttention.Config.model_validate(
            {
                "terms": terms,
                "transposed": terms[1:2] == "1" and terms[3:] == "0",
                "heads": given.whole("num_heads", 9),
                "key_stride": given.whole("kv_stride", 2),
            }
        )


# MMDetection's type of block -> what reads its settings
READERS: dict[str, Callable[[Section], AnyPlugin]] = {
    "ContextBlock": context_block,
    "GeneralizedAttention": generalized_attention,
}

__all__ = ["READERS", "plugins"]
