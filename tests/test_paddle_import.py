"""PaddleDetection's models become ours: configs with their bases, weights in their names, and what is refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray

import detzoo
from detzoo.blocks.class_rows import BACKGROUND_LAST, ONE_EACH, ClassRows, background_last
from detzoo.cli import main
from detzoo.config import ConfigError, flatten
from detzoo.data.resize import fit_size, pixels_of, resize_picture
from detzoo.detector import Detector
from detzoo.interop.imported import DetectionsDiffer, UnnamedClasses
from detzoo.interop.paddle import backbone_names, configs, static_backbone_names
from detzoo.interop.paddle.backbones import read_backbone
from detzoo.interop.paddle.configs import read_file
from detzoo.interop.paddle.importer import read_config
from detzoo.interop.paddle.parts import Parts
from detzoo.interop.paddle.weights import _LEAVES, _NETWORKS, _statistics, names
from detzoo.interop.renaming import rename
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes import zoo
from detzoo.recipes.recipe import Init, Recipe
from detzoo.train import heads
from tests.paddle_configs import FILES, MODELS, changed, small
from tests.paddle_files import folder, pdparams, static
from tests.published_paddle import paddle_rows, parameters_of, settings_of
from tests.zoo import parameters

CONFIG = "faster_rcnn/faster_rcnn_r50_fpn_1x_coco.yml"


def written(folder: Path, **changes: str) -> Path:
    """The folder of configs; ``changes`` are other texts of files, by a part of their names."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(next((other for part, other in changes.items() if part in name), text))
    return folder / CONFIG


THEIRS = (
    (r"^backbone\.(conv|bn)1\.", lambda m: f"backbone.conv1.conv1.{_kind(m[1])}."),
    (
        r"^backbone\.layer(\d)\.(\d)\.(conv|bn)(\d)\.",
        lambda m: f"{_block(m)}.branch2{'ab'[int(m[4]) - 1]}.{_kind(m[3])}.",
    ),
    (
        r"^backbone\.layer(\d)\.(\d)\.downsample\.(\d)\.",
        lambda m: f"{_block(m)}.short.{('conv', 'norm')[int(m[3])]}.",
    ),
    (r"^neck\.lateral_convs\.0\.conv\.", "neck.fpn_inner_res2_sum_lateral."),
    (r"^neck\.lateral_convs\.1\.conv\.", "neck.fpn_inner_res3_sum."),
    (r"^neck\.fpn_convs\.(\d)\.conv\.", lambda m: f"neck.fpn_res{int(m[1]) + 2}_sum."),
    (r"^rpn\.conv\.", "rpn_head.rpn_feat.rpn_conv."),
    (r"^rpn\.cls\.", "rpn_head.rpn_rois_score."),
    (r"^rpn\.reg\.", "rpn_head.rpn_rois_delta."),
    (r"^box_head\.shared_fcs\.(\d)\.", lambda m: f"bbox_head.head.fc{int(m[1]) + 6}."),
    (r"^box_head\.fc_cls\.", "bbox_head.bbox_score."),
    (r"^box_head\.fc_reg\.", "bbox_head.bbox_delta."),
)


def _kind(kind: str) -> str:
    return {"conv": "conv", "bn": "norm"}[kind]


def _block(match: re.Match[str]) -> str:
    stage = int(match[1]) + 1
    return f"backbone.res{stage}.res{stage}{'ab'[int(match[2])]}"


def theirs(detector: Detector) -> dict[str, NDArray[Any]]:
    """A detector's weights in Paddle's names and layout."""
    found = {}
    for ours, value in detector.state_dict().items():
        if ours.endswith("num_batches_tracked"):
            continue
        name = next(re.sub(pattern, new, ours) for pattern, new in THEIRS if re.search(pattern, ours))
        name = name.replace("running_mean", "_mean").replace("running_var", "_variance")
        linear = value.dim() == 2
        found[name] = (value.t() if linear else value).contiguous().numpy()
    return found


def randomized(config: dict[str, Any]) -> Detector:
    torch.manual_seed(0)
    detector = detzoo.from_paddle(config, classes=["a", "b", "c"]).eval()
    for value in detector.state_dict().values():
        if value.is_floating_point():
            value.add_(torch.rand_like(value) * 0.01)
    return detector


def test_a_config_with_its_bases(tmp_path: Path) -> None:
    imported = read_config(written(tmp_path))
    found, usual = flatten(imported.recipe.model), flatten(detzoo.find("faster_rcnn_r50_fpn_1x_coco").model)
    other = {name for name in found.keys() | usual.keys() if found.get(name) != usual.get(name)}
    assert {"input.interpolation", "rpn.min_size"} <= other
    assert not {name for name in other if name.split(".")[0] in ("neck", "roi_levels")}
    assert imported.recipe.name == "faster_rcnn_r50_fpn_1x_coco"
    assert (
        imported.recipe.data.classes == detzoo.find("faster_rcnn_r50_fpn_1x_coco").data.classes
        or len(imported.recipe.data.classes or ()) == 80
    )
    assert not imported.differences
    assert imported.notes == (
        "TrainDataset, TrainReader, LearningRate, OptimizerBuilder are not taken over: data and schedule are the usual",
    )


def test_a_model_and_its_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    detector = randomized(small())
    config, weights = tmp_path / "small.yml", tmp_path / "small.pdparams"
    config.write_text(yaml.safe_dump(small()))
    pdparams(weights, theirs(detector), 2)
    again = detzoo.from_paddle(config, weights, classes=["a", "b", "c"])
    assert not again.training
    state = again.state_dict()
    assert all(torch.equal(state[name], value) for name, value in detector.state_dict().items())
    picture = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    one, two = (each.predict(picture, size=64, threshold=0.0)[0] for each in (detector, again))
    assert len(one.scores)
    assert np.array_equal(one.boxes, two.boxes)
    out = tmp_path / "ours.safetensors"
    assert main(["convert", str(weights), "--config", str(config), "--classes", "a,b,c", "--out", str(out)]) == 0
    assert "FasterRCNN, 3 classes: a, b, c" in capsys.readouterr().out
    assert detzoo.load(out).classes == ("a", "b", "c")
    assert main(["convert", str(weights), "--out", str(out)]) == 2
    assert "name its config, --config FILE.yml" in capsys.readouterr().err


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    detector = randomized(small())
    arrays = theirs(detector)
    del arrays["rpn_head.rpn_feat.rpn_conv.bias"]
    arrays["bbox_head.more"] = np.zeros(2, np.float32)
    arrays["bbox_head.bbox_score.bias"] = np.zeros(9, np.float32)
    weights = pdparams(tmp_path / "small.pdparams", arrays)
    with pytest.raises(CheckpointError) as caught:
        detzoo.from_paddle(small(), weights, classes=["a", "b", "c"])
    for said in ("small.pdparams", "1 missing:", "1 left over:", "bbox_head.bbox_score.bias [9], needs [4]"):
        assert said in str(caught.value)


def test_names_of_classes(tmp_path: Path) -> None:
    with pytest.warns(UnnamedClasses, match=r"names the 3 classes.*pass classes="):
        assert detzoo.from_paddle(small()).classes == ("class 0", "class 1", "class 2")
    with pytest.raises(ConfigError, match="the model has 3 classes, but classes names 1"):
        detzoo.from_paddle(small(), classes=["a"])
    path = tmp_path / "small.yml"
    path.write_text(yaml.safe_dump(small() | {"TestDataset": {"name": "ImageFolder", "anno_path": "names.txt"}}))
    (tmp_path / "names.txt").write_text("cat\ndog\ncow\n")
    assert read_config(path).recipe.data.classes == ("cat", "dog", "cow")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("architecture", "PPYOLOE", "architecture='PPYOLOE' cannot be imported; of release 2.x these can: BlazeFace"),
        ("ResNet.surprise", 1, "ResNet.surprise=1 is not known"),
        ("ResNet.variant", "z", "ResNet.variant='z' has no counterpart"),
        ("FasterRCNN.bbox_head", "OtherHead", "FasterRCNN.bbox_head='OtherHead' is not known here; BBoxHead is"),
        ("BBoxPostProcess.nms.nms_eta", 0.5, "nms.nms_eta=0.5 has no counterpart"),
        ("BBoxPostProcess.nms.keep_top_k", "many", "nms.keep_top_k must be a whole number"),
        ("RPNHead", 3, "RPNHead must be a dict"),
        ("more", 3, "more=3 is not known"),
        ("EvalReader.sample_transforms", [{"Decode": {}}, {"Turn": {"by": 90}}], "'Turn' has no counterpart"),
    ],
)
def test_what_changes_results_is_taken_or_refused(place: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_config(changed(place, value), classes=["a", "b", "c"])


def test_what_only_training_uses_is_noted() -> None:
    values = changed("BBoxAssigner.use_random", False)
    assert any("BBoxAssigner.use_random=False" in note for note in read_config(values, classes=list("abc")).notes)
    values = {name: value for name, value in small().items() if not name.endswith("Reader")}
    assert "800 pixels are a guess" in read_config(values, classes=list("abc")).differences[0]
    with pytest.warns(DetectionsDiffer, match="differ from PaddleDetection's: no reader says"):
        detzoo.from_paddle(values, classes=list("abc"))


BAD = {
    "python": "architecture: !!python/object/apply:os.system ['true']",
    "python name": "architecture: !!python/name:os.system",
    "merge": "a: &a {b: 1}\narchitecture: {<<: [*a, *a]}",
    "laughs": "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(12)),
    "in itself": "a: &a [*a]",
    "deep": "a: " + "[" * 5000,
    "a long number": "a: " + "9" * 50_000,
    "minutes": "a: 1" + ":59" * 20_000,
    "many": "a: [" + "1," * 60_000 + "]",
    "large": "# " + "x" * 200_000,
    "keys": "? [1, 2]\n: 3",
    "a list": "- 1",
    "no text": "\x00",
    "itself": "_BASE_: ['bad.yml']",
    "nowhere": "_BASE_: ['../none.yml']",
    "no path": "_BASE_: {a: 1}",
    "no config": "_BASE_: ['/etc/passwd']",
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_config_or_cost_too_much(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(BAD[name])
    with pytest.raises(ConfigError, match=r"bad\.yml"):
        read_config(path)


def test_tags_are_data_and_later_bases_go_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.yml").write_text("a: {b: 1, c: !Tag {d: 1}}\ne: [1, 2]")
    (tmp_path / "two.yml").write_text("a: {b: 2}\nf: !Empty {}\ng: !Word text")
    (tmp_path / "own.yml").write_text("_BASE_: [one.yml, two.yml]\na: {c: !Tag {x: yes}}\ne: [3]")
    assert read_file(tmp_path / "own.yml") == {
        "a": {"b": 2, "c": {"type": "Tag", "x": True}},
        "e": [3],
        "f": {"type": "Empty"},
        "g": {"type": "Word", "args": "text"},
    }
    monkeypatch.setattr(configs, "MOST_FILES", 2)
    with pytest.raises(ConfigError, match="at most 2 files"):
        read_file(tmp_path / "own.yml")


def test_dicts_that_are_merged_count_where_no_own_key_does(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {y: 3, <<: [*a, *b]}\n<<: {d: 4, a: 5}")
    assert read_file(path) == {"a": {"x": 1, "y": 1}, "b": {"x": 2, "z": 2}, "c": {"x": 1, "y": 3, "z": 2}, "d": 4}
    path.write_text("a: {<<: 3}")
    with pytest.raises(ConfigError, match=r"a.yml:1: `<<` is a dict or a list of dicts"):
        read_file(path)


def test_files_that_are_taken_for_a_config(tmp_path: Path) -> None:
    (tmp_path / "infer_cfg.yml").write_text("mode: paddle\narch: YOLO\nPreprocess: []\nlabel_list: [cat]")
    (tmp_path / "a.pdparams").write_bytes(b"\x80\x02}.")
    with pytest.raises(ConfigError, match=r"infer_cfg.yml: it belongs to a model that was exported for inference"):
        detzoo.from_paddle(tmp_path / "infer_cfg.yml")
    with pytest.raises(ConfigError, match=r"a.pdparams is no config of PaddleDetection, which is a .yml file"):
        detzoo.from_paddle(tmp_path / "a.pdparams")


def test_weights_as_arrays_and_what_is_none() -> None:
    detector = randomized(small())
    arrays: dict[str, Any] = theirs(detector)
    again = detzoo.from_paddle(small(), arrays, classes=list("abc")).state_dict()
    assert all(torch.equal(again[name], value) for name, value in detector.state_dict().items())
    whole = {name: (value * 100).astype(np.int8) for name, value in arrays.items()}
    with pytest.raises(CheckpointError, match="77 of whole numbers, as quantized models have"):
        detzoo.from_paddle(small(), whole, classes=list("abc"))
    with pytest.raises(CheckpointError, match=r"bbox_score.bias is a list, not a tensor"):
        detzoo.from_paddle(small(), {**arrays, "bbox_head.bbox_score.bias": cast(Any, [0.0])}, classes=list("abc"))


@pytest.mark.parametrize(("size", "edges", "keep"), [((37, 53), (100, 70), True), ((37, 53), (64, 64), False)])
def test_cubic_resizing_is_that_of_opencv(size: tuple[int, int], edges: tuple[int, int], keep: bool) -> None:
    cv2 = pytest.importorskip("cv2")
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    height, width = fit_size(*size, *edges, keep)
    expected = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    found = pixels_of(resize_picture(image, height, width, "bicubic"))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_nothing_warns_of_a_model_that_is_whole() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detzoo.from_paddle(small(), classes=list("abc"))


def static_yolo() -> dict[str, Any]:
    """The settings of a static YOLOv3 in the form that its release writes."""
    row = next(row for row in paddle_rows() if row.name == "pdold_yolov3_r50vd_dcn")
    return settings_of(row) or {}


def test_a_static_model_in_an_archive(tmp_path: Path) -> None:
    """Names of the static release, an optimizer's state beside them, and its sections."""
    values: dict[str, Any] = static_yolo() | {"num_classes": 2}
    values["ResNet"] |= {"depth": 18, "dcn_v2_stages": [], "variant": "b"}
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = detzoo.from_paddle(values, classes=["a", "b"])
        row = next(row for row in paddle_rows() if row.name == "pdold_yolov3_r34__s608")
        table = names(detector, static=True)
        later = names(detector, static=False)
        state = detector.state_dict()
        arrays = {}
        for name in parameters_of(row) or {}:
            ours = rename(
                rename(name, table).replace("_mean", "running_mean").replace("_variance", "running_var"), later
            )
            if ours in state:  # of 34 layers 18 are here
                arrays[name] = state[ours].numpy()
        arrays["yolo_output.0.conv.bias_velocity_0"] = np.zeros(3, np.float32)
        again = detzoo.from_paddle(values, static(tmp_path / "model.tar", arrays), classes=["a", "b"])
        some = {name: value for name, value in arrays.items() if name != "bn_conv1_mean"}
        with pytest.raises(CheckpointError, match=r"1 missing:\n    backbone.bn1.running_mean"):
            detzoo.from_paddle(values, static(tmp_path / "some.tar", some), classes=["a", "b"])
        new = {"YOLOv3": values["YOLOv3"] | {"neck": "YOLOv3FPN"}, "YOLOv3Head": {}}
        new["ResNet"] = {"depth": 18, "return_idx": [1, 2, 3]}
        with pytest.raises(CheckpointError, match=r"are of release 0.x, but the config is of release 2.x"):
            detzoo.from_paddle(values | new, static(tmp_path / "old.tar", arrays), classes=["a", "b"])
    assert all(torch.equal(again.state_dict()[name], value) for name, value in state.items())


def test_no_file_of_a_static_model_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = folder(tmp_path / "model", {"w": np.zeros(2)})
    before = (model / "w").read_bytes()
    assert main(["convert", str(model), "--config", str(tmp_path / "a.yml"), "--out", str(model / "w")]) == 2
    assert "choose another file with --out" in capsys.readouterr().err
    assert (model / "w").read_bytes() == before


def test_what_stands_first_in_static_models_goes_last() -> None:
    """Class 0 was the background: it has rows of its own in each layer that tells classes apart."""
    rows = torch.arange(8.0).view(8, 1)
    assert background_last(rows, BACKGROUND_LAST, 8, 3).flatten().tolist() == [1, 2, 3, 0, 5, 6, 7, 4]  # two anchors
    assert background_last(rows, ClassRows(each=4), 4, 1).flatten().tolist() == [4, 5, 6, 7]
    assert background_last(rows, ONE_EACH, 7, 7).flatten().tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert background_last(rows, ONE_EACH, 8, 8) is rows


def test_scale_and_offset_in_place_of_statistics() -> None:
    """Affine channels are normalization whose statistics change nothing."""
    detector = randomized(small())
    table = dict(detector.named_modules())
    found = _statistics(table, set())
    norm, name = detector.get_submodule("backbone.bn1"), "backbone.bn1"
    assert isinstance(norm, torch.nn.BatchNorm2d)
    norm.running_mean, norm.running_var = found[f"{name}.running_mean"], found[f"{name}.running_var"].float()
    x = torch.rand(1, norm.num_features, 3, 3)
    expected = x * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)
    assert torch.allclose(norm(x), expected, rtol=1e-6, atol=1e-6)
    assert not _statistics(table, {f"{name}.running_mean" for name in table})


def test_a_file_of_another_toolbox_says_what_takes_it(tmp_path: Path) -> None:
    for name, word in (("a.pdparams", "from_paddle"), ("a.pth", "from_mmdet")):
        (tmp_path / name).write_bytes(bytes(100))
        with pytest.raises(CheckpointError, match=rf"another toolbox's: detzoo\.{word}\(CONFIG, FILE\)"):
            detzoo.load(tmp_path / name)


def test_published_weights_are_paddles_by_their_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = randomized(small())
    path = pdparams(tmp_path / "model.pdparams", theirs(before))
    recipe = before.recipe
    assert isinstance(recipe, Recipe)
    recipe = recipe.replace(name="paddles", weights={"url": "https://host/model.pdparams"})
    monkeypatch.setitem(zoo._BY_NAME, "paddles", recipe)
    monkeypatch.setattr(zoo, "fetch", lambda url, sha256: path)
    after = detzoo.load("paddles")
    assert all(torch.equal(after.state_dict()[name], value) for name, value in before.state_dict().items())


def test_single_steps_of_readers() -> None:
    steps = [
        {"type": "DecodeImage", "to_rgb": True},
        {"type": "NormalizeImage", "is_scale": False, "mean": [104.0, 117.0, 123.0], "std": [1.0, 1.0, 1.0]},
        {"type": "ResizeImage", "target_size": 800, "max_size": 1333, "use_cv2": False},
        {"type": "Permute", "to_bgr": True},
    ]
    imported = read_config(changed("EvalReader.sample_transforms", steps), classes=list("abc"))
    found = imported.recipe.model.input
    assert (found.order, found.mean, found.short, found.long, found.interpolation) == (
        *("bgr", (123.0, 117.0, 104.0), 800, 1333),
        "bilinear",
    )
    assert imported.differences == (
        "pictures are resized with Pillow there",
        "pictures are resized as floats there, here as whole grey levels",
    )
    for step, message in (
        ({"type": "ResizeImage", "target_size": [640, 800], "max_size": 1333}, "are several; pass size="),
        ({"Resize": {"target_size": [300, 300], "interp": 4}}, "interp=4 has no counterpart"),
        ({"NormalizeImage": {"mean": [1, 2]}}, "mean must be a list of 3 numbers"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            read_config(changed("EvalReader.sample_transforms", [step]), classes=list("abc"))
    square = read_config(
        changed("EvalReader.sample_transforms", steps), classes=list("abc"), size=(640, 480)
    ).recipe.model
    assert (square.input.short, square.input.long) == (480, 640)


@pytest.mark.parametrize("name", MODELS)
def test_models_have_the_parameters_that_are_recorded(name: str, tmp_path: Path) -> None:
    for number, text in enumerate(MODELS[name]):
        (tmp_path / f"{number}.yml").write_text(text)
    path = tmp_path / "model.yml"
    bases = [f"{number}.yml" for number in range(len(MODELS[name]))]
    path.write_text(f"_BASE_: {bases}\nnum_classes: 80\nmetric: COCO")
    recipe = read_config(path).recipe
    row = next(row for row in paddle_rows() if row.model == name)
    assert parameters(recipe, parameters_of(row), of_paddle=True) == "yes"


@pytest.mark.parametrize(
    "name",
    [
        "cascade_rcnn_cbr200_vd_fpn_dcnv2_nonlocal_softnms",
        "faster_rcnn_r50_fpn_1x",
        "yolov3_mobilenet_v1_voc",
        "yolov3_r34",
    ],
)
def test_static_backbones_have_the_parameters_that_are_recorded(name: str) -> None:
    row = next(row for row in paddle_rows() if row.model == f"static/{name}")
    parts = Parts(settings_of(row) or {}, [])
    config: Any = read_backbone(parts, parts.model())
    with torch.device("meta"):
        ours = {f"backbone.{key}": list(value.shape) for key, value in config.build().state_dict().items()}
    table = static_backbone_names.BACKBONES[_NETWORKS[config.kind]]
    found = {}
    for key, shape in (parameters_of(row) or {}).items():
        owner, _, leaf = rename(key, table).rpartition(".")
        if owner.startswith("backbone."):
            found[rename(f"{owner}.{_LEAVES.get(leaf, leaf)}", backbone_names.NAMES)] = shape
    assert found == {key: shape for key, shape in ours.items() if key in found}
    statistics = ("num_batches_tracked", "running_mean", "running_var")
    assert all(key in found for key in ours if not key.endswith(statistics))


@pytest.mark.parametrize("released", ["a.pdparams", "a.tar"])
def test_training_starts_from_a_classifier_of_paddles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, released: str
) -> None:
    source, detector = randomized(small()), detzoo.from_paddle(small(), classes=["a", "b", "c"])
    given = {name.removeprefix("backbone."): one for name, one in theirs(source).items() if "backbone." in name}
    if released.endswith(".tar"):
        leaves = {"weight": "scale", "bias": "offset", "_mean": "mean", "_variance": "variance"}
        names = {}
        for name in given:
            *_, block, branch, kind, leaf = ("conv1", *name.split("."))
            layer = "conv1" if block == "conv1" else f"{block}_{branch.replace('short', 'branch1')}"
            if kind == "norm":
                layer = f"bn_{layer}" if block == "conv1" else f"bn{layer.removeprefix('res')}"
            names[name] = f"{layer}_{leaves[leaf] if kind == 'norm' else 'weights'}"
        static(tmp_path / released, {names[name]: one for name, one in given.items()})
    else:
        pdparams(tmp_path / released, given | {"fc.weight": np.zeros((8, 5), np.float32)})
    monkeypatch.setattr(heads, "fetch", lambda url, sha256: tmp_path / released)
    (line, *more) = heads.load_init(detector, Init(url=f"https://host/{released}"))
    assert line.endswith(f": {len(given)} tensors")
    assert not more
    before = source.state_dict()
    for name, value in detector.state_dict().items():
        if name.startswith("backbone.") and not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, before[name], msg=name)
