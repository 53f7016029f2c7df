"""Exported files find what the detector finds, where there is what the format needs; all others are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import detzoo
from detzoo import cli
from detzoo.data.shapes import picture
from detzoo.detector import Detector
from detzoo.export import write
from detzoo.export.exported import open_exported
from detzoo.export.info import ExportedFileError, read_info
from detzoo.export.parity import Differences, differences
from detzoo.export.smaller import feeds, halve, quantize
from detzoo.export.write import ExportError
from detzoo.types import Detections
from tests.test_docs import ROOT, blocks
from tests.tiny import tiny

INPUT = {"short": 96, "long": 192}
PICTURES = [picture(f"shapes/val/{number}") for number in (4, 5)]


def made() -> Detector:
    torch.manual_seed(0)
    detector = tiny("YOLOF", head={"threshold": 0.0}, input=INPUT).eval()
    for name in ("cls.bias", "object.bias"):  # a fresh network's scores are all near 0.01
        detector.get_parameter(name).data.fill_(0.0)
    return detector


@pytest.fixture(scope="module")
def detector() -> Detector:
    return made()


@pytest.fixture(scope="module")
def onnx_file(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    written = detector.export(path, pictures=PICTURES)
    assert written.size is None
    assert written.differences.within()
    assert written.differences.detections > 10
    return path


@pytest.fixture(scope="module")
def torch_file(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.pt2"
    detector.export(path, pictures=PICTURES, size=(96, 128))
    return path


def test_report_lies_beside_the_file(onnx_file: Path):
    assert sorted(file.name for file in onnx_file.parent.iterdir()) == ["model.onnx", "model.parity.json"]
    report = json.loads(onnx_file.with_name("model.parity.json").read_text())
    assert report["file"] == "model.onnx"
    assert report["pictures"] == 3  # the last one twice
    assert report["scores"] <= 1e-4
    assert report["boxes"] <= 1e-2


def test_loaded_file_predicts_as_the_detector(detector: Detector, onnx_file: Path):
    exported = detzoo.load(onnx_file)
    assert exported.classes == detector.classes
    for ours, theirs in zip(exported.predict(PICTURES), detector.predict(PICTURES), strict=True):
        torch.testing.assert_close(ours.boxes, theirs.boxes, atol=1e-2, rtol=1e-4)
        torch.testing.assert_close(ours.scores, theirs.scores, atol=1e-5, rtol=1e-4)
        assert ours.names == theirs.names
        assert len(ours) > 3
    merged = exported.predict(PICTURES[0], tta=True)[0], detector.predict(PICTURES[0], tta=True)[0]
    assert len(merged[0]) == len(merged[1])


def test_loaded_file_evaluates_as_the_detector(detector: Detector, onnx_file: Path, tmp_path: Path):
    """On pictures whose objects are what the detector finds."""
    images, objects = [], []
    for number, image in enumerate(PICTURES):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": image.shape[0], "width": image.shape[1]})
        objects += detector.predict(image)[0].to_coco(number)
    for number, found in enumerate(objects):
        width, height = found["bbox"][2:]
        found |= {"id": number + 1, "iscrowd": 0, "area": width * height}
    classes = [{"id": label, "name": name} for label, name in enumerate(detector.classes)]
    content = {"images": images, "annotations": objects, "categories": classes}
    (tmp_path / "objects.json").write_text(json.dumps(content))
    out = str(tmp_path / "report.json")
    assert cli.main(["evaluate", str(onnx_file), "--data", str(tmp_path / "objects.json"), "--out", out]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["box_ap"] == pytest.approx(1.0, abs=1e-3)
    assert cli.main(["evaluate", str(onnx_file)]) == 2  # on what?


def test_settings_of_a_file_are_fixed(onnx_file: Path, tmp_path: Path):
    exported = detzoo.load(onnx_file)
    assert exported.with_settings(size=128).config.input.short == 128
    for call in (
        lambda: exported.predict(PICTURES, nms=0.3),
        lambda: exported.predict(PICTURES, precision="bf16"),
        lambda: exported.save(tmp_path / "a.safetensors"),
        lambda: exported.export(tmp_path / "a.onnx"),
        lambda: detzoo.load(onnx_file, precision="fp16"),
    ):
        with pytest.raises(ValueError, match=r"fixed|precision|no weights|exported file"):
            call()


def test_onnxruntime_and_numpy_alone_reproduce_predict(detector: Detector, onnx_file: Path, tmp_path: Path):
    """The snippet of docs/export.md, word for word."""
    (code,) = [code for mark, code in blocks(ROOT / "docs" / "export.md", "python") if mark == "standalone"]
    Image.fromarray(PICTURES[0]).save(tmp_path / "street.jpg", quality=95)
    (tmp_path / "model.onnx").symlink_to(onnx_file)
    code += "\nimport sys\nassert not {'torch', 'detzoo', 'onnx'} & {*sys.modules}\n"
    code += "np.savez('found.npz', boxes=boxes, scores=scores[0, keep], labels=labels[0, keep])\n"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=tmp_path)
    found = np.load(tmp_path / "found.npz")
    (wanted,) = detector.predict(tmp_path / "street.jpg", threshold=0.05)
    assert len(wanted) == len(found["boxes"]) > 3
    # torch resizes with whole-number weights: a pixel may differ by a grey level
    np.testing.assert_array_equal(found["labels"], wanted.labels)
    np.testing.assert_allclose(found["scores"], wanted.scores, atol=1e-3)
    np.testing.assert_allclose(found["boxes"], wanted.boxes, atol=0.5)


def test_torch_file_runs_with_torch_and_torchvision_alone(detector: Detector, torch_file: Path, tmp_path: Path):
    code = (
        "import sys, torch, torchvision\n"
        "run = torch.export.load(sys.argv[1]).module()\n"
        "pixels = torch.arange(3 * 3 * 96 * 128).view(3, 3, 96, 128).mul(37).remainder(256).to(torch.uint8)\n"
        "found = run(pixels, torch.tensor([[96, 128]] * 3))\n"
        "assert 'detzoo' not in sys.modules\n"
        "torch.save([pixels, found], 'found.pt')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(torch_file)], check=True, timeout=120, cwd=tmp_path)
    pixels, found = torch.load(tmp_path / "found.pt")
    with torch.no_grad():
        wanted = detector.detect(detector.normalize(pixels, torch.tensor([[96, 128]] * 3)))
    for name in ("boxes", "scores", "labels", "valid"):
        torch.testing.assert_close(found[name], getattr(wanted, name), atol=1e-3, rtol=1e-4)


def test_file_of_one_size_takes_pictures_of_any(detector: Detector, torch_file: Path):
    exported = detzoo.load(torch_file)
    assert exported.config.input.canvas == (96, 128)
    tall = np.ascontiguousarray(PICTURES[0].swapaxes(0, 1))
    assert len(exported.predict([tall, PICTURES[1]], threshold=0)) == 2
    with pytest.raises(ValueError, match="96 x 128 pixels only"):
        exported.predict(PICTURES, size=128)


def test_openvino_file(detector: Detector, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def copied(program: object, taken: object, outputs: object, info: object, path: Path) -> None:
        path.write_bytes(onnx_file.read_bytes())  # has been captured once

    monkeypatch.setattr(write, "_write_onnx", copied)
    written = detector.export(tmp_path / "model.xml", pictures=PICTURES)
    assert written.differences.within(1e-4, 1e-2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.parity.json", "model.xml"]
    exported = detzoo.load(tmp_path / "model.xml")
    assert differences(detector, exported, PICTURES[:1]).within(1e-4, 1e-2)


def test_file_that_finds_something_else_is_not_written(
    detector: Detector, onnx_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def other(*given: object) -> None:
        Path(str(given[-1])).write_bytes(onnx_file.read_bytes())

    monkeypatch.setitem(write.FORMATS, ".onnx", other)
    changed = made()
    changed.get_parameter("cls.bias").data.fill_(0.1)
    with pytest.raises(ExportError, match="would not find what the detector finds"):
        changed.export(tmp_path / "model.onnx", pictures=PICTURES)
    assert not list(tmp_path.iterdir())
    assert not changed.export(tmp_path / "model.onnx", pictures=PICTURES, check=False).differences.within()


@pytest.mark.parametrize(("precision", "smaller", "apart"), [("fp16", 1.9, 0.01), ("int8", 3.5, 0.1)])
def test_smaller_numbers(
    detector: Detector, onnx_file: Path, tmp_path: Path, precision: str, smaller: float, apart: float
):
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_file.read_bytes())
    if precision == "fp16":
        halve(path)
    else:
        quantize(path, feeds(PICTURES, detector.config.input))
    assert onnx_file.stat().st_size > smaller * path.stat().st_size
    exported = open_exported(path)
    assert exported.info.precision == precision
    assert exported.classes == detector.classes
    for ours, theirs in zip(exported.predict(PICTURES), detector.predict(PICTURES), strict=True):
        assert float((ours.scores[:3] - theirs.scores[:3]).abs().max()) < apart
        assert ours.scores.dtype == ours.boxes.dtype == torch.float32


def test_precisions_that_do_not_fit_are_said(detector: Detector, tmp_path: Path):
    with pytest.raises(ValueError, match="'fp8' is not a precision; did you mean 'fp32' or 'fp16'"):
        detector.export(tmp_path / "model.onnx", precision="fp8")
    with pytest.raises(ExportError, match=r"fp16 and int8 are for \.onnx files"):
        detector.export(tmp_path / "model.pt2", precision="fp16")
    with pytest.raises(ExportError, match="int8 goes with calibration"):
        detector.export(tmp_path / "model.onnx", precision="int8")
    with pytest.raises(ExportError, match="int8 goes with calibration"):
        detector.export(tmp_path / "model.onnx", calibration=PICTURES)
    with pytest.raises(FileNotFoundError, match="there is nothing at"):  # before the detector is captured
        detector.export(tmp_path / "new" / "model.onnx", precision="int8", calibration=tmp_path / "none")
    assert not (tmp_path / "new").exists()


def test_detections_without_an_area_are_the_same_as_themselves(monkeypatch: pytest.MonkeyPatch):
    boxes = torch.tensor([[1.0, 1, 9, 9], [0, 3, 0, 8], [0, 3, 0, 8], [5, 5, 5, 5], [0, 3, 0, 8]]).repeat(2, 1, 1)
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]).repeat(2, 1), torch.tensor([0, 0, 0, 1, 1]).repeat(2, 1)
    some = torch.ones(2, 5, dtype=torch.bool)
    one, two = made(), made()
    found = {one: Detections(boxes, scores, labels, some), two: Detections(boxes, scores, labels.flip(1), some)}
    monkeypatch.setattr("detzoo.export.parity.detect_on_host", lambda detector, *_: found[detector])
    assert differences(one, one, PICTURES[:1]) == Differences(detections=10, pictures=2)
    assert differences(one, two, PICTURES[:1]).alone > 0


def test_what_an_exporter_cannot_do_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("no graph\nof that kind")

    monkeypatch.setitem(write.FORMATS, ".pt2", refuse)
    with pytest.raises(ExportError, match=r"YOLOF has no form in \.pt2: no graph$"):  # of any size, and of one
        made().export(tmp_path / "model.pt2", pictures=PICTURES)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_holds_for_some_sizes_is_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def runner(given: dict[str, Tensor]) -> None:
        if given["images"].shape[2:] != (96, 192):
            raise RuntimeError("step 3") from AssertionError("\x1b[96mGuard failed: rows <= 7\x1b[0m\nsee below")

    info = SimpleNamespace(input=made().config.input)
    monkeypatch.setattr(write, "open_exported", lambda _: SimpleNamespace(runner=runner, info=info))
    taken, fitted = write._captured(lambda *_: None, made(), tmp_path / "model.pt2")
    assert taken.size == fitted.config.input.canvas == (96, 192)
    assert "images of any size are not possible (Guard failed: rows <= 7): the file takes 96 x 192 only" in caplog.text


def test_region_proposals_of_any_size(tmp_path: Path):
    """Levels have more candidates than are taken, or fewer, by the size of the image."""
    torch.manual_seed(0)
    detector = tiny("RPNDetector", input={"short": 256, "long": 320}).eval()
    written = detector.export(tmp_path / "model.pt2", pictures=PICTURES)
    assert written.size is None
    assert written.differences.within()
    assert written.differences.detections > 10


def test_a_comparison_of_nothing_is_said():
    assert "so that nothing was compared: name some of yours with pictures" in str(Differences(pictures=4))
    assert "scores differ by 0.5" in str(Differences(scores=0.5, alone=1, pictures=4))


def test_what_is_no_exported_file_is_refused(onnx_file: Path, tmp_path: Path):
    for suffix in (".onnx", ".pt2", ".xml"):
        broken = tmp_path / f"broken{suffix}"
        broken.write_bytes(onnx_file.read_bytes()[:1000])
        with pytest.raises(ExportedFileError, match="cannot be opened"):
            detzoo.load(broken)
    with pytest.raises(ExportedFileError, match="not written by detzoo"):
        read_info("a.onnx", {})
    with pytest.raises(ExportedFileError, match="damaged"):
        read_info("a.onnx", {"detzoo": "1", "classes": "[" * 10_000})
    with pytest.raises(FileNotFoundError, match="no weights file"):
        detzoo.load("none.onnx")


def test_unknown_formats_and_sizes_are_said(detector: Detector, tmp_path: Path):
    with pytest.raises(ExportError, match=r"'\.onxx' is not a format; did you mean '\.onnx'"):
        detector.export(tmp_path / "a.onxx")
    with pytest.raises(ValueError, match="height and width in pixels"):
        detector.export(tmp_path / "a.onnx", size="big")
    with pytest.raises(ValueError, match="multiples of 32, such as 96x128"):
        detector.export(tmp_path / "a.onnx", size="96x100")


def test_an_engine_is_made_of_the_onnx_file_where_the_gpu_is(detector: Detector, tmp_path: Path):
    with pytest.raises(ExportError, match=r"trtexec --onnx=model\.onnx --saveEngine=model\.engine"):
        detector.export(tmp_path / "model.engine")


def test_missing_runtime_is_one_sentence(onnx_file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"model\.onnx needs onnxruntime: pip install 'detzoo\[export\]'"):
        detzoo.load(onnx_file)


def test_command_line(
    detector: Detector,
    onnx_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def captured(*given: object) -> None:
        Path(str(given[-1])).write_bytes(onnx_file.read_bytes())

    monkeypatch.setitem(write.FORMATS, ".onnx", captured)
    monkeypatch.setattr(detzoo, "load", lambda *_, **__: detector)
    Image.fromarray(PICTURES[0]).save(tmp_path / "street.png")
    out = tmp_path / "out" / "model.onnx"
    command = ["export", "some.safetensors", "--out", str(out), "--pictures", str(tmp_path / "street.png")]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert f"{out}: takes images of any size" in said
    assert "scores differ by" in said
    assert cli.main(["export", "some.safetensors", "--out", "model.onyx"]) == 2
    assert "did you mean '.onnx'" in capsys.readouterr().err
    assert cli.main(["export", "some.safetensors", "--out", str(out), "--size", "100"]) == 2
    assert "--size 100x100: both are multiples of 32, such as 128x128" in capsys.readouterr().err


def test_settings_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[Detector] = []
    loaded = detzoo.build("retinanet_r18_fpn_shapes")
    monkeypatch.setattr(detzoo, "load", lambda *_, **__: loaded)
    monkeypatch.setattr(Detector, "export", lambda detector, *_, **__: seen.append(detector))
    command = ["export", "some.safetensors", "--out", str(tmp_path / "model.onnx")]
    assert cli.main([*command, "model.head.threshold=0.3", "model.head.detections=7"]) == 0
    assert cli.main(command) == 0
    settings: Any = [one.config for one in seen]
    assert [one.head.threshold for one in settings] == [0.3, 0.05]
    assert settings[0].head.detections == 7


def test_predicting_with_a_file_on_the_command_line(onnx_file: Path, tmp_path: Path):
    Image.fromarray(PICTURES[0]).save(tmp_path / "street.png")
    out = tmp_path / "found"
    assert (
        cli.main(["predict", str(onnx_file), str(tmp_path / "street.png"), "--out", str(out), "--threshold", "0"]) == 0
    )
    assert list(out.glob("street*"))
