"""A module as an ONNX file's contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from detzoo.export.onnx_ops import TRANSLATIONS

OPSET = 20


def to_onnx(
    module: nn.Module,
    example: Sequence[Tensor],
    *,
    dynamic: Sequence[Mapping[int, Any] | None],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """Capture a module's ``forward``, tensors in and out, as an ONNX model that holds nothing but operators of ONNX.

    Args:
        module: in evaluation mode, on the CPU.
        example: what it is captured with; sides that are not ``dynamic`` keep their lengths.
        dynamic: of each input its sides of any length, as `torch.export.Dim` by number of the side.
        inputs: names of the inputs.
        outputs: names of the outputs.

    Raises:
        torch.onnx.errors.OnnxExporterError: something in the module has no form in ONNX.
        onnx.checker.ValidationError: what came out is no valid model.
    """
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(example),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple(dynamic),
            opset_version=OPSET,
            custom_translation_table=TRANSLATIONS,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # of which only the older exporter gives none
    model = program.model_proto
    onnx.checker.check_model(model, full_check=True)
    return model
