"""Columns that rows of PaddleDetection's tables share."""

from __future__ import annotations

from detzoo.backbones.resnet import ResNet
from detzoo.blocks.assign import MatchConfig
from detzoo.blocks.roi_heads import BoxHead
from detzoo.blocks.rpn import RPN

PADDLE_R50 = ResNet.Config(norm_frozen=True)
# an object claims its best anchors, which still learn from the object that they overlap most
PADDLE_RPN = RPN.Config(
    match=MatchConfig(positive=0.7, negative=0.3, low_quality=0.0, claims=False),
    by_samples=True,
    shrink_bound=False,
    min_size=1.0,
)
PADDLE_BOX_HEAD = BoxHead.Config(shrink_bound=False)
