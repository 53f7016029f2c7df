"""Running a detector on a batch and bringing the result to the host, in pixels of the original images."""

from __future__ import annotations

import dataclasses
import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from detzoo.blocks.roi_heads import BoxHead
from detzoo.detector import Detector
from detzoo.precision import is_in_precision, pick_precision, warn_if_slow
from detzoo.types import Detections


def in_evaluation_mode(detector: Detector) -> Detector:
    """The detector as it is in evaluation mode, whatever else is done with it meanwhile; its own flags stay.

    A detector in evaluation mode is returned as it is. Of any other the modules are copied, which share every parameter
    and buffer with it, and the copies are switched: threads that predict and one that trains do not meet.

    Raises:
        ValueError: the detector is in training mode and holds a function in place of a method that may lead from a copy
            back to it.
    """
    if not any(module.training for module in detector.modules()):
        return detector
    return _switched_copy(detector, "this detector is in training mode", "eval()")


def in_precision(detector: Detector, precision: str | torch.dtype | None) -> Detector:
    """The detector to detect with in a precision, in evaluation mode; the given one stays as it is.

    One that is in it already, with all its weights, is returned as `in_evaluation_mode` does, and shares them. Of any
    other the modules are copied and the weights converted once, which costs about as much as autocast takes for one
    batch. A warning tells of half precision that the device has no units for.

    Args:
        detector: in any mode.
        precision: as `detzoo.precision.pick_precision` takes it; None: the detector's own.

    Raises:
        ValueError: there is no such precision, or the detector is in another one or in training mode and holds a
            function in place of a method that may lead from a copy back to it.
    """
    wanted = pick_precision(precision)
    warn_if_slow(wanted or detector.dtype, detector.device.type)
    if wanted is None or (detector.dtype == wanted and is_in_precision(detector, wanted)):
        return in_evaluation_mode(detector)
    copied = _switched_copy(detector, f"this detector is not in {wanted}", f"to({wanted})")
    for module in copied.modules():
        held = module._parameters.items()
        apart = {name: None if value is None else nn.Parameter(value.detach(), False) for name, value in held}
        vars(module).update(_parameters=apart, _buffers=dict(module._buffers))
    return copied.to(wanted)


def unsuppressed(detector: Detector) -> Detector:
    """The detector in evaluation mode, whose second stage returns every candidate box; it shares the weights.

    Raises:
        ValueError: it has no second stage; or as `in_evaluation_mode`.
    """
    copied = _switched_copy(detector, "this detector's boxes are suppressed", "predict() with first_nms=True")
    heads = [module for module in copied.modules() if isinstance(module, BoxHead)]
    if not heads:
        raise ValueError(f"first_nms=False is for methods with a second stage, and {type(detector).__name__} has none")
    for head in heads:
        head.config = head.config.replace(nms=1.0, soft_nms=None, detections=head.config.candidates)
    return copied


def _switched_copy(detector: Detector, state: str, instead: str) -> Detector:
    """Copies of the modules in evaluation mode, which share what they hold; ``state``, ``instead``: for an error."""
    copies: dict[int, nn.Module] = {}
    for name, module in detector.named_modules():
        for word in ("forward", "detect", "normalize"):
            if word in vars(module) and _leads_to_a_module(vars(module)[word]):
                place = f"{name}.{word}" if name else word
                raise ValueError(f"{state}, and its {place} was replaced: call {instead} first")
        copies[id(module)] = object.__new__(type(module))
    for module in detector.modules():
        own = {name: _copied(value, copies) for name, value in vars(module).items()}
        # a compiled call is bound to the module that it was made of
        vars(copies[id(module)]).update(own, training=False, _compiled_call_impl=None)
    return cast("Detector", copies[id(detector)])


def _leads_to_a_module(value: Any, depth: int = 4) -> bool:
    """Whether a function may call a module: anything but a plain one whose names and defaults hold none."""
    if isinstance(getattr(value, "__self__", value), nn.Module):
        return True
    if not isinstance(value, FunctionType):
        return callable(value) and not isinstance(value, type | BuiltinFunctionType)
    if not depth:
        return True
    names = inspect.getclosurevars(value)
    held = [*names.nonlocals.values(), *names.globals.values(), *(value.__defaults__ or ())]
    return any(_leads_to_a_module(part, depth - 1) for part in held)


def _copied(value: Any, copies: Mapping[int, nn.Module]) -> Any:
    """An attribute with every module in it exchanged for its copy; anything else is shared."""
    if isinstance(value, nn.Module):
        return copies.get(id(value), value)
    # torch has ordered ones, too: of a Sequential that was shortened
    if type(value) in (dict, OrderedDict) and any(isinstance(part, nn.Module) for part in value.values()):
        return {key: _copied(part, copies) for key, part in value.items()}
    if type(value) in (list, tuple) and any(isinstance(part, nn.Module) for part in value):
        return type(value)(_copied(part, copies) for part in value)
    return value


def detect_on_host(
    detector: Detector,
    pixels: Tensor,
    sizes: Tensor,
    proposals: Tensor | None = None,
    originals: Tensor | None = None,
) -> Detections:
    """Detections of one batch on the CPU; the device is waited for once.

    Args:
        detector: in any mode, which stays as it is.
        pixels: uint8 RGB ``[N, 3, H, W]``, zero-padded at right and bottom, on any device.
        sizes: int64 ``[N, 2]`` height and width without padding.
        proposals: float32 ``[N, P, 4]`` xyxy pixels of the network input, for a detector that takes them.
        originals: int64 ``[N, 2]`` height and width of the image files; None: those of ``sizes``.

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
    ready = in_evaluation_mode(detector)
    with torch.inference_mode():
        images = ready.normalize(pixels.to(device, non_blocking=True), sizes.to(device, non_blocking=True))
        if originals is not None:
            images = dataclasses.replace(images, scales=(sizes / originals).to(device, non_blocking=True))
        result = ready.detect(images, **given).to("cpu", non_blocking=True)
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
        Boxes scaled and clipped to the image; mask crops as they were, to be pasted on the whole image (what they span
        is scaled alone, where it is not their boxes);
        dense masks resized.
    """
    (height, width), (to_height, to_width) = size, original
    factors = result.boxes.new_tensor([to_width / width, to_height / height]).repeat(2)
    limits = result.boxes.new_tensor([to_width, to_height]).repeat(2)
    boxes = torch.minimum((result.boxes * factors).clamp(min=0), limits)
    dense = result.dense
    if dense is not None:
        target = (int(to_height), int(to_width))
        parts = [_resized(part[:, :height, :width], target) for part in dense.split(8)]
        dense = torch.cat(parts) if parts else dense.new_zeros((0, *target))
    canvas = None if result.crops is None else (int(to_height), int(to_width))
    spans = None if result.crop_boxes is None else result.crop_boxes * factors
    return dataclasses.replace(result, boxes=boxes, crop_boxes=spans, dense=dense, canvas=canvas)


def _resized(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Bool ``[M, H, W]`` masks at another ``size``."""
    whole = masks.float().unsqueeze(1)
    return functional.interpolate(whole, size, mode="bilinear", align_corners=False)[:, 0] >= 0.5
