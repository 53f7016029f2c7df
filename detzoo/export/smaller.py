"""ONNX files with smaller numbers: convolutions and linear layers in half precision or in eight bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from detzoo.data.canvases import padded
from detzoo.data.resize import resize
from detzoo.detector import Input

ExportPrecision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[ExportPrecision, ...] = get_args(ExportPrecision)
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# beside the layers, what half precision may stay in between two of them
_BETWEEN = ("Relu", "LeakyRelu", "MaxPool", "Add")
MOST = 128  # pictures that are calibrated with

Feed = dict[str, NDArray[Any]]


def halve(path: Path) -> None:
    """Rewrite a file so that its layers hold and compute float16; boxes, scores and all else stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = _folded(path)
    kept = {node.op_type for node in model.graph.node} - {*LAYERS, *_BETWEEN}
    # shapes are known to the exporter better than to the converter
    half = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True, op_block_list=sorted(kept))
    _say(half, "fp16", path)


def quantize(path: Path, feeds: Iterable[Feed]) -> None:
    """Rewrite a file so that its layers hold and compute int8, scaled by the ranges that ``feeds`` make in it."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[Feed] = iter(feeds)

        def get_next(self) -> Feed:
            return next(self.left, {})

    made, given = path.with_name("int8.onnx"), _folded(path)
    quantize_static(
        given,
        made,
        Pictures(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(LAYERS),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(made)
    made.unlink()
    del model.metadata_props[:]
    model.metadata_props.extend(given.metadata_props)
    _say(model, "int8", path)


def feeds(pictures: Iterable[NDArray[np.uint8]], settings: Input) -> Iterator[Feed]:
    """Inputs of a file, of one picture ``(H, W, 3)`` each."""
    for picture in pictures:
        pixels, sizes = padded([resize(picture, settings)[0]], settings)
        yield {"images": pixels.numpy(), "sizes": sizes.numpy()}


def _folded(path: Path) -> Any:
    """The model of a file with what follows from its weights alone computed, so that layers hold their weights."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    made = path.with_name("folded.onnx")
    options.optimized_model_filepath = str(made)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(made)
    made.unlink()
    del model.metadata_props[:]
    model.metadata_props.extend(onnx.load(path, load_external_data=False).metadata_props)
    return model


def _say(model: Any, precision: ExportPrecision, path: Path) -> None:
    for text in model.metadata_props:
        if text.key == "precision":
            text.value = precision
    path.write_bytes(model.SerializeToString())
