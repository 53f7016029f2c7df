"""What training starts from: the recipe's initial weights, from a server on this machine that can also be away."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

import detzoo
from detzoo.recipes import initial
from detzoo.recipes.download import DownloadError
from detzoo.recipes.recipe import Init, Recipe
from detzoo.train.heads import load_init
from detzoo.train.loop import Trained, train
from tests.train_fakes import quick

__all__ = ["quick"]
pytestmark = pytest.mark.usefixtures("quick")

# the backbone as torchvision has it: the first three stages are used
FULL = {"norm_eval": True, "frozen_stages": 1}
BASE = detzoo.find("retinanet_r18_fpn_shapes")
SMALL = (
    "model.input.short=48",
    "model.input.long=64",
    "model.neck.out_channels=16",
    "schedule.epochs=1",
    "schedule.batch=3",
    "schedule.evaluate_every=0",
    "data.workers=0",
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(5)
    return torchvision.models.resnet18().state_dict()


@pytest.fixture
def server(tmp_path: Path, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a folder with ``backbone.pth``."""
    monkeypatch.setenv("DETZOO_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "served"
    folder.mkdir()
    torch.save(weights, folder / "backbone.pth")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def recipe_with(init: Init | None) -> Recipe:
    backbone: Any = BASE.model.backbone.replace(**FULL)
    return BASE.replace(model=BASE.model.replace(backbone=backbone), init=init)


def run(recipe: Recipe, out: Path, *overrides: str, **more: Any) -> Trained:
    return train(recipe, "shapes:3/0", out, device="cpu", overrides=(*SMALL, *overrides), progress=False, **more)


def frozen(trained: Trained) -> Tensor:
    """Weights that training does not change."""
    return trained.detector.get_parameter("backbone.layer1.0.conv1.weight")


def test_training_starts_from_the_weights_of_the_recipe(
    server: str, weights: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init = Init(url=f"{server}/backbone.pth", sha256=hash_of(tmp_path / "served/backbone.pth"))
    trained = run(recipe_with(init), tmp_path / "run")
    assert torch.equal(frozen(trained), weights["layer1.0.conv1.weight"])
    shown = capsys.readouterr().out
    assert f"starting from {server}/backbone.pth: 90 tensors" in shown
    assert "not used of that file: fc.bias, fc.weight, layer4.0.bn1.bias" in shown
    resumed = run(recipe_with(init), tmp_path / "run", "schedule.epochs=2", resume=True)
    assert "starting from" not in capsys.readouterr().out
    assert len(resumed.history) == 2


def test_other_weights_and_init_null_come_first(
    server: str, weights: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_with(Init(url=f"{server}/backbone.pth"))
    trained = run(recipe, tmp_path / "random", "init=null")
    assert not torch.equal(frozen(trained), weights["layer1.0.conv1.weight"])
    assert trained.detector.recipe == recipe.replace(
        **{name: getattr(trained.detector.recipe, name) for name in ("model", "data", "schedule")}, init=None
    )
    given = run(recipe, tmp_path / "given", weights=trained.last)
    assert torch.equal(frozen(given), frozen(trained))
    assert server not in capsys.readouterr().out


@pytest.mark.parametrize("away", ["host", "file"])
def test_weights_that_cannot_be_had_are_said_loudly(
    server: str, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{server}/none.pth" if away == "file" else "http://127.0.0.1:9/backbone.pth"
    trained = run(recipe_with(Init(url=url)), tmp_path / "run")
    assert len(trained.history) == 1
    shown = capsys.readouterr().out
    assert ("cannot be fetched: 404" if away == "file" else "cannot reach 127.0.0.1") in shown
    assert f"WARNING: training starts from random weights instead of {url}" in shown
    assert "init=null" in shown
    assert f"put it at {tmp_path / 'cache'}" in shown
    assert "model.backbone.frozen_stages=-1" in shown


def test_a_file_that_is_not_the_published_one_stops_the_run(server: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="0123abcd"):
        run(recipe_with(Init(url=f"{server}/backbone.pth", sha256="0123abcd")), tmp_path / "run")
    torch.save({"state_dict": 1}, tmp_path / "served/odd.pth")
    with pytest.raises(ValueError, match=r"odd\.pth: this file holds no state dict; .*init=null"):
        run(recipe_with(Init(url=f"{server}/odd.pth")), tmp_path / "run")


def test_a_backbone_that_does_not_fit_stops_the_run(server: str, tmp_path: Path) -> None:
    detector = detzoo.build(recipe_with(None))
    torch.save(torchvision.models.resnet50().state_dict(), tmp_path / "served/r50.pth")
    message = r"r50\.pth does not fit RetinaNet \(shapes differ: backbone\.layer1\.0\.conv1\.weight .*init=null"
    with pytest.raises(ValueError, match=message):
        load_init(detector, Init(url=f"{server}/r50.pth"))
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "served/vgg.pth")
    with pytest.raises(ValueError, match=r"no name fits, e\.g\. features\.0\.weight"):
        load_init(detector, Init(url=f"{server}/vgg.pth"))


def test_new_parts_of_a_backbone_are_named_and_counters_are_not(
    server: str, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    old = {name: value for name, value in weights.items() if "num_batches" not in name and "layer2.1" not in name}
    torch.save({"state_dict": old}, tmp_path / "served/old.pth")
    lines = load_init(detzoo.build(recipe_with(None)), Init(url=f"{server}/old.pth"))
    assert lines[1].startswith("not in that file, so left as initialized: backbone.layer2.1.conv1.weight")
    assert "num_batches_tracked" not in "".join(lines)


def test_a_file_can_go_to_several_places(
    server: str, weights: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the stages before and behind the RoIs of Faster R-CNN on C4 start from one file."""
    detector = detzoo.build(recipe_with(None))
    second = (r"^copy\.layer1\.0\.conv1\.", "backbone.layer1.1.conv2.")
    monkeypatch.setattr(type(detector), "published_names", (second, *detector.published_names))
    load_init(detector, Init(url=f"{server}/backbone.pth", prefixes=("backbone.", "copy.")))
    for name in ("backbone.layer1.0.conv1.weight", "backbone.layer1.1.conv2.weight"):
        assert torch.equal(detector.get_parameter(name), weights["layer1.0.conv1.weight"])


def test_a_whole_detector_keeps_all_but_its_head(server: str, tmp_path: Path) -> None:
    """As Cityscapes starts from COCO."""
    torch.manual_seed(9)
    source = detzoo.build(recipe_with(None), classes=[f"class {index}" for index in range(7)])
    published = {}
    for name, value in source.state_dict().items():
        part, _, rest = name.partition(".")
        renamed = {"cls": "bbox_head.retina_cls", "reg": "bbox_head.retina_reg"}.get(part, f"bbox_head.{part}")
        published[name if part in ("backbone", "neck") else f"{renamed}.{rest}"] = value
    torch.save({"state_dict": published, "meta": {"epoch": 12}}, tmp_path / "served/whole.pth")
    detector = detzoo.build(recipe_with(None), classes=["a", "b"])
    lines = load_init(detector, Init(url=f"{server}/whole.pth", prefixes=("",)))
    assert any("head rebuilt for 2 classes" in line for line in lines)
    own, theirs = detector.state_dict(), source.state_dict()
    differ = [
        name for name in own if own[name].shape == theirs[name].shape and not torch.equal(own[name], theirs[name])
    ]
    assert differ == []


def test_addresses_carry_the_hash_that_is_checked() -> None:
    named = [value for value in vars(initial).values() if isinstance(value, Init)]
    assert len({init.url for init in initial.USUAL.values()}) == len(initial.USUAL) == 30
    for init in (*initial.USUAL.values(), *named):
        assert init.url.startswith("https://download.")
        assert init.url.endswith(f"-{init.sha256}.pth")


def test_published_recipes_say_what_they_start_from() -> None:
    assert detzoo.find("retinanet_r50_fpn_1x_coco").init == initial.INIT_R50
    assert detzoo.find("retinanet_r50_caffe_fpn_1x_coco").init == initial.INIT_R50_CAFFE
    assert detzoo.find("faster_rcnn_r50_fpn_gn-all_scratch_6x_coco").init is None
    c4 = detzoo.find("faster_rcnn_r50_caffe_c4_1x_coco").init
    assert c4 == initial.INIT_R50_CAFFE.replace(prefixes=("backbone.", "roi_head.shared_head."))
    start = detzoo.find("faster_rcnn_r50_fpn_1x_cityscapes").init
    coco = detzoo.find("faster_rcnn_r50_fpn_1x_coco").weights
    assert start is not None
    assert coco is not None
    assert start.prefixes == ("",)
    assert start.sha256 == coco.sha256


def test_the_last_stage_of_c4_starts_from_the_same_file() -> None:
    recipe = detzoo.find("faster_rcnn_r50_caffe_c4_1x_coco")
    assert recipe.init is not None
    with torch.device("meta"):
        detector = detzoo.build(recipe)
        names = set(torchvision.models.resnet50().state_dict())
    own = {detector.own_name(prefix + name) for prefix in recipe.init.prefixes for name in names}
    assert {name for name in detector.state_dict() if name.startswith(("backbone.", "box_head.stage."))} <= own
