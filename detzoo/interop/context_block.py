"""The block of global context, of which both toolboxes say the same."""

from __future__ import annotations

from detzoo.blocks.context_block import ContextBlock
from detzoo.interop.section import Section

_POOLINGS = {"att": "attention", "avg": "average"}
_FUSIONS = {"channel_add": "add", "channel_mul": "multiply"}


def context_block(block: Section, ratio: float | None = None) -> ContextBlock.Config:
    """``ContextBlock`` of MMDetection or ``gcb_params`` of PaddleDetection, whose ``ratio`` may be left out."""
    with block as given:
        fusion = given.take("fusion_types", ("channel_add",))
        if not isinstance(fusion, list | tuple) or not all(isinstance(one, str) and one in _FUSIONS for one in fusion):
            given.differs("fusion_types", f"has no counterpart; {' and '.join(_FUSIONS)} have")
        pooling = given.word("pooling_type", "att")
        return ContextBlock.Config.model_validate(
            {
                "ratio": given.number("ratio", ratio),
                "pooling": _POOLINGS.get(pooling, pooling),
                "fusion": tuple(_FUSIONS[one] for one in fusion),
            }
        )


__all__ = ["context_block"]
