"""A module as an ONNX file's contents."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    dynamic: Sequence[Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> onnx.ModelProto:
    """Capture a module's ``forward``, tensors in and out, as an ONNX model that holds nothing but operators of ONNX.

    Args:
        module: in evaluation mode, on the CPU.
        example: what it is captured with; sides that are not ``dynamic`` keep their lengths.
        dynamic: of each input its sides of any length, as `torch.export.Dim` by number of the side, or None.
        inputs: names of the inputs.
        outputs: names of the outputs.

    Raises:
        torch.onnx.errors.OnnxExporterError: something in the module has no form in ONNX.
        onnx.checker.ValidationError: what came out is no valid model.
    """
    with torch.no_grad(), _quiet():
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
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # which lines of which file on this machine it comes from
    model = program.model_proto
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of its own work, and nobody can do anything about."""
    optimizer = logging.getLogger("onnxscript.optimizer")
    level = optimizer.level
    optimizer.setLevel(logging.ERROR)  # constants that stay as they are
    try:
        with warnings.catch_warnings():
            # inputs that have as many images say so by one name
            warnings.filterwarnings("ignore", message="# The axis name: .* will not be used", category=UserWarning)
            yield
    finally:
        optimizer.setLevel(level)
