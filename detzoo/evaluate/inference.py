"""Running a detector on a batch and bringing the result to the host, in pixels of the original images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from detzoo.detector import Detector
from detzoo.types import Detections


@contextmanager
def evaluation_mode(detector: Detector) -> Iterator[None]:
    """Evaluation mode inside; every module's training flag is as before afterwards."""
    training = [module for module in detector.modules() if module.training]
    detector.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def detect_on_host(detector: Detector, pixels: Tensor, sizes: Tensor, proposals: Tensor | None = None) -> Detections:
    """Detections of one batch on the CPU; the device is waited for once.

    Args:
        detector: in any mode, which stays as it is.
        pixels: uint8 RGB ``[N, 3, H, W]``, zero-padded at right and bottom, on any device.
        sizes: int64 ``[N, 2]`` height and width without padding.
        proposals: float32 ``[N, P, 4]`` xyxy pixels of the network input, for a detector that takes them.

    Returns:
        Batched, in pixels of the network input.

    Raises:
        ValueError: the detector takes proposals and there are none.
    """
    device = detector.device
    given: dict[str, Any] = {}
    if detector.takes_proposals:
        if proposals is None:
            raise ValueError(
                f"{type(detector).__name__} looks at given boxes only: call detect(images, proposals=...), "
                "or evaluate it on data with proposals"
            )
        given["proposals"] = proposals.to(device, non_blocking=True)
    with evaluation_mode(detector), torch.inference_mode():
        images = detector.normalize(pixels.to(device, non_blocking=True), sizes.to(device, non_blocking=True))
        result = detector.detect(images, **given).to("cpu", non_blocking=True)
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return result


def in_original_pixels(result: Detections, size: Sequence[int], original: Sequence[int]) -> Detections:
    """One image's detections moved from the network input to the image file.

    Args:
        result: of one image.
        size: height and width of the image in the network input, without padding.
        original: height and width of the image file.

    Returns:
        Boxes scaled and clipped to the image; mask crops as they were, to be pasted on the whole image;
        dense masks resized.
    """
    (height, width), (to_height, to_width) = size, original
    factors = torch.tensor([to_width / width, to_height / height]).repeat(2)
    limits = torch.tensor([to_width, to_height], dtype=torch.float32).repeat(2)
    boxes = torch.minimum((result.boxes * factors).clamp(min=0), limits)
    dense = result.dense
    if dense is not None:
        target = (int(to_height), int(to_width))
        parts = [_resized(part[:, :height, :width], target) for part in dense.split(8)]
        dense = torch.cat(parts) if parts else dense.new_zeros((0, *target))
    canvas = None if result.crops is None else (int(to_height), int(to_width))
    return dataclasses.replace(result, boxes=boxes, dense=dense, canvas=canvas)


def _resized(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Bool ``[M, H, W]`` masks at another ``size``."""
    whole = masks.float().unsqueeze(1)
    return functional.interpolate(whole, size, mode="bilinear", align_corners=False)[:, 0] >= 0.5
