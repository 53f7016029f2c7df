"""What runs an exported file: one class per format, arrays by name in and out."""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from detzoo.export.info import ExportedFileError, FileInfo, read_info

INFO = "detzoo.json"  # in a .pt2 file, beside the graph


class Runner(Protocol):
    """A file that is ready to run."""

    info: FileInfo

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of `detzoo.export.program.Program`, by name; all on the CPU."""
        ...


class OnnxRunner:
    """A ``.onnx`` file in onnxruntime."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Open it.

        Raises:
            ModuleNotFoundError: there is no onnxruntime.
            ValueError: the device is not one of the onnxruntime that is installed.
            ExportedFileError: the file is damaged, or not ours.
        """
        onnxruntime = needed("onnxruntime", path, "export")
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}.get(device.type, device.type)
        if provider not in onnxruntime.get_available_providers():
            raise ValueError(f"device: this onnxruntime cannot compute on {device.type}; {path.name} runs on cpu here")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        chosen: list[Any] = [provider if device.index is None else (provider, {"device_id": device.index})]
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise ExportedFileError(f"{path} cannot be opened by onnxruntime: {str(error)[:300]}") from None
        self.info = read_info(path, self.session.get_modelmeta().custom_metadata_map)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Runner`."""
        arrays = self.session.run(self.outputs, {name: value.numpy() for name, value in inputs.items()})
        return {name: torch.from_numpy(array) for name, array in zip(self.outputs, arrays, strict=True)}


class OpenvinoRunner:
    """An OpenVINO ``.xml`` file, with the ``.bin`` file beside it."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Open it; exceptions as of `OnnxRunner`."""
        openvino = needed("openvino", path, "openvino")
        if device.type != "cpu":
            raise ValueError(f"device: {path.name} runs on cpu, not on {device.type}")
        core = openvino.Core()
        # unless told, it computes in bfloat16 where the processor can, and is no longer what was exported
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        try:
            model = core.read_model(str(path))
            found = model.get_rt_info("detzoo").value if model.has_rt_info("detzoo") else {}
            self.model = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise ExportedFileError(f"{path} cannot be opened by OpenVINO: {str(error)[:300]}") from None
        texts = {name: value.value if hasattr(value, "value") else value for name, value in dict(found).items()}
        self.info = read_info(path, texts)
        self.outputs = [output.get_any_name() for output in self.model.outputs]

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Runner`."""
        found = self.model({name: value.numpy() for name, value in inputs.items()})
        return {name: torch.from_numpy(found[name].copy()) for name in self.outputs}


class TorchRunner:
    """A ``.pt2`` file of `torch.export`."""

    def __init__(self, path: Path, device: torch.device) -> None:
        """Open it; exceptions as of `OnnxRunner`."""
        import torchvision.ops  # noqa: F401 (for its operators)

        if device.type != "cpu":
            raise ValueError(f"device: {path.name} was captured for the cpu and runs there, not on {device.type}")
        found = {INFO: ""}
        try:
            with warnings.catch_warnings():  # of a way of reading that torch 2.11 has, and which writes nothing
                warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
                self.module = torch.export.load(path, extra_files=found).module()
            texts = json.loads(found[INFO] or "{}")
        except Exception as error:  # a damaged file provokes more than torch's own errors
            raise ExportedFileError(f"{path} cannot be opened by torch.export: {str(error)[:300]}") from None
        self.info = read_info(path, texts)

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `Runner`."""
        return self.module(*inputs.values())


RUNNERS: dict[str, type[OnnxRunner] | type[OpenvinoRunner] | type[TorchRunner]] = {
    ".onnx": OnnxRunner,
    ".pt2": TorchRunner,
    ".xml": OpenvinoRunner,
}


def needed(package: str, path: Path, extra: str) -> Any:
    """A package that an extra of ours installs.

    Raises:
        ModuleNotFoundError: it is not there; the message says how to get it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(f"{path.name} needs {package}: pip install 'detzoo[{extra}]'", name=package) from None
