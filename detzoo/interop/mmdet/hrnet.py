"""HRNet and its pyramid from MMDetection's settings."""

from __future__ import annotations

from detzoo.backbones.hrnet import HRNet
from detzoo.interop.mmdet import parts
from detzoo.interop.mmdet.parts import MOST_CHANNELS, Features
from detzoo.interop.section import Section
from detzoo.necks.hrfpn import HRFPN

MOST = 16  # modules of a stage, and blocks in a row


def hrnet(backbone: Section) -> HRNet.Config:
    """``HRNet``, whose stages stand in ``extra``."""
    with backbone as given:
        given.fixed("in_channels", 3)
        given.fixed("conv_cfg")
        given.fixed("multiscale_output", True)
        given.ignore("zero_init_residual")  # MMDetection reads it, but never does it
        with given.section("extra") as extra:
            stages = [_stage(extra.section(f"stage{number}"), number) for number in (1, 2, 3, 4)]
        # what a stage's width has to be follows from that of the second
        width = stages[1][2]
        for number in (2, 3, 4):
            parts.derived(
                extra.section(f"stage{number}"), "num_channels", [width * 2**branch for branch in range(number)]
            )
        return HRNet.Config.model_validate(
            {
                "width": width,
                "first_width": stages[0][2],
                "modules": tuple(modules for modules, _, _ in stages[1:]),
                "blocks": tuple(blocks for _, blocks, _ in stages),
                "norm": parts.norm(given, default="bn"),
                "norm_eval": given.flag("norm_eval", True),
                "checkpointing": given.flag("with_cp", False),
            }
        )


def _stage(stage: Section, number: int) -> tuple[int, int, int]:
    """How many modules it has, how many blocks in each branch, and the channels of its finest branch."""
    with stage as given:
        given.fixed("num_branches", number)
        given.fixed("block", "BOTTLENECK" if number == 1 else "BASIC")
        given.ignore("num_modules")  # of the first, which has no exchange
        modules = 1 if number == 1 else given.whole("num_modules", most=MOST)
        blocks = given.wholes("num_blocks", count=number)
        if len(set(blocks)) > 1 or blocks[0] > MOST:
            given.differs("num_blocks", f"has no counterpart; one number up to {MOST} for every branch has")
        widths = given.wholes("num_channels", count=number)
        if max(widths) > MOST_CHANNELS:
            given.differs("num_channels", f"has more than {MOST_CHANNELS}")
        return modules, blocks[0], widths[0]


def hrfpn(neck: Section, features: Features) -> HRFPN.Config:
    """``HRFPN`` on the maps of a backbone."""
    with neck as given:
        parts.derived(given, "in_channels", features.channels)
        given.fixed("conv_cfg")
        given.ignore("norm_cfg", "with_cp")  # normalization that MMDetection does not build; memory in training
        return HRFPN.Config.model_validate(
            {
                "out_channels": given.whole("out_channels", most=MOST_CHANNELS),
                "levels": given.whole("num_outs", 5, most=16),
                "pooling": "max" if given.word("pooling_type", "AVG") == "MAX" else "avg",  # as there: any other is AVG
                "stride": given.whole("stride", 1, most=16),
            }
        )


__all__ = ["hrfpn", "hrnet"]
