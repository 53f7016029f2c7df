"""A whole detector as one module of tensors: from a batch of pictures to boxes, nothing to be done before or after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from detzoo.detector import Detector
from detzoo.types import Detections

INPUTS = ("images", "sizes", "proposals")
# all that there may be, in this order; which there are follows from the method
OUTPUTS = ("boxes", "scores", "labels", "valid", "masks", "mask_boxes")


class Program(nn.Module):
    """`Detector.detect` with normalization and channel order before it, and named tensors in and out.

    Suppression is part of it, as of ``detect``: what it gives is the result.
    """

    def __init__(self, detector: Detector) -> None:
        """Of a detector in evaluation mode."""
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor, sizes: Tensor, proposals: Tensor | None = None) -> dict[str, Tensor]:
        """What is in a batch of pictures.

        Args:
            images: RGB ``[N, 3, H, W]`` with grey levels from 0 to 255, uint8 or float, padded at right and bottom.
            sizes: int64 ``[N, 2]``, height and width of each picture without padding.
            proposals: float32 ``[N, P, 4]`` xyxy pixels, for a detector that is given the boxes to look at.

        Returns:
            ``boxes [N, K, 4]`` xyxy pixels of the input, ``scores [N, K]`` falling, ``labels [N, K]`` from 0,
            ``valid [N, K]``: which slots hold a detection; and of a detector with masks ``masks``: probabilities
            ``[N, K, h, w]`` on a grid that spans the box (or ``mask_boxes [N, K, 4]``, where there are such), or bool
            ``[N, K, H, W]`` on the input. See `detzoo.types.Detections`.
        """
        given: dict[str, Any] = {} if proposals is None else {"proposals": proposals}
        return named(self.detector.detect(self.detector.normalize(images, sizes), **given))


def named(found: Detections) -> dict[str, Tensor]:
    """A batch's detections as tensors by their names in `OUTPUTS`."""
    masks = found.crops if found.dense is None else found.dense
    tensors = (found.boxes, found.scores, found.labels, found.valid, masks, found.crop_boxes)
    return {name: value for name, value in zip(OUTPUTS, tensors, strict=True) if value is not None}


def detections(tensors: Mapping[str, Tensor], canvas: tuple[int, int], mask_threshold: float) -> Detections:
    """What `named` was given; ``canvas``: height and width of the input, pixels."""
    masks = tensors.get("masks")
    dense = masks if masks is not None and masks.dtype == torch.bool else None
    return Detections(
        boxes=tensors["boxes"],
        scores=tensors["scores"],
        labels=tensors["labels"],
        valid=tensors["valid"],
        crops=masks if dense is None else None,
        crop_boxes=tensors.get("mask_boxes"),
        dense=dense,
        canvas=None if masks is None or dense is not None else canvas,
        mask_threshold=mask_threshold,
    )
