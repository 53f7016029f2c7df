"""Parts that a program passes in: docs/own-parts.md word for word, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

import detzoo
from detzoo.backbones.own import OwnBackbone
from detzoo.config import ConfigError, from_json, to_json
from detzoo.detector import Detector, DetectorConfig
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.recipe import METHODS, Recipe
from detzoo.train.loop import train
from detzoo.types import Detections, Images, Targets
from tests.tiny import images
from tests.train_fakes import quick

__all__ = ["quick"]

PAGE = Path(__file__).parents[1] / "docs" / "own-parts.md"
CODE = re.findall(r"^```python own\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


class Stack(nn.Module):
    channels, strides = (4, 8), (8, 16)

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 8, 8), nn.Conv2d(4, 8, 2, 2)])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine: Tensor = self.stages[0](x).relu()
        return {"fine": fine, "coarse": self.stages[1](fine).relu()}


class Mine(Detector):
    """Whether each class is there."""

    class Config(DetectorConfig):
        method: Literal["mine"] = "mine"
        width: int = 4

    def __init__(self, config: Mine.Config, classes: tuple[str, ...]) -> None:
        super().__init__(config, classes)
        self.conv = nn.Conv2d(3, config.width, 8, 8)
        self.head = nn.Linear(config.width, len(self.classes))
        self.calls = 0  # a program's class may hold what it likes

    def scores(self, images: Images) -> Tensor:
        self.calls += 1
        return self.head(self.conv(images.pixels).mean((2, 3))).float()

    def forward(self, images: Images, targets: Targets) -> dict[str, Tensor]:
        wanted = torch.zeros(len(images.pixels), len(self.classes))
        wanted = wanted.scatter_add(1, targets.labels, targets.valid.float()).clamp(max=1)
        return {"loss_cls": nn.functional.binary_cross_entropy_with_logits(self.scores(images), wanted)}

    def detect(self, images: Images) -> Detections:
        scores, labels = self.scores(images).sigmoid().sort(1, descending=True)
        boxes = torch.tensor([0.0, 0.0, 50.0, 50.0]).expand(*scores.shape, 4)
        return Detections(boxes, scores, labels, torch.ones_like(scores, dtype=torch.bool))


def test_the_page_s_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, code in enumerate(CODE):
        exec(compile(code, f"own-parts.md, block {number}", "exec"), names)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["mine", "stack"]
    assert names["report"].metrics["box_ap"] >= 0


def test_an_own_backbone_is_the_one_that_is_passed(tmp_path: Path) -> None:
    module = Stack()
    before = module.stages[0].get_parameter("weight").clone()
    detector = detzoo.build("retinanet_r18_fpn_shapes", classes=["a"], backbone=module)
    place = detector.get_submodule("backbone")
    assert isinstance(place, OwnBackbone)
    assert place.network is module
    assert torch.equal(module.stages[0].get_parameter("weight"), before)
    assert isinstance(detector.recipe, Recipe)
    assert detector.recipe.init is None
    path = detector.eval().save(tmp_path / "own.safetensors")
    again = detzoo.load(path, backbone=Stack())
    with torch.no_grad():
        assert torch.equal(detector.detect(images()).scores, again.detect(images()).scores)
    wider = again.with_settings({"model.input.order": "bgr"})
    name = "backbone.network.stages.0.weight"
    assert torch.equal(wider.get_parameter(name), again.get_parameter(name))


def test_a_file_of_an_own_backbone_needs_it(tmp_path: Path) -> None:
    path = detzoo.build("fcos_r18_fpn_shapes", classes=["a"], backbone=Stack()).save(tmp_path / "own.safetensors")
    with pytest.raises(
        CheckpointError, match=r"own\.safetensors: its backbone is the program's own \(Stack\).*backbone=m"
    ):
        detzoo.load(path)
    other = Stack()
    other.channels = (4, 9)
    with pytest.raises(CheckpointError, match=r"\[4, 8\] channels at strides \[8, 16\]; that of .*Stack has \[4, 9\]"):
        detzoo.load(path, backbone=other)
    plain = detzoo.build("fcos_r18_fpn_shapes", classes=["a"]).save(tmp_path / "plain.safetensors")
    with pytest.raises(CheckpointError, match="leave out backbone"):
        detzoo.load(plain, backbone=Stack())
    with pytest.raises(ValueError, match=r"another backbone: detzoo\.build\('fcos"):
        detzoo.load("fcos_r18_fpn_shapes", backbone=Stack())
    with pytest.raises(ConfigError, match="pass it in, backbone=module"):
        detzoo.build(detzoo.find("fcos_r18_fpn_shapes").replace(model={"method": "fcos", "backbone": {"kind": "own"}}))


def test_what_is_no_backbone_is_refused() -> None:
    with pytest.raises(TypeError, match="Conv2d has no channels: give it channels"):
        detzoo.build("fcos_r18_fpn_shapes", backbone=nn.Conv2d(3, 3, 1))
    with pytest.raises(ConfigError, match="SSD is built for one kind of backbone"):
        detzoo.build("ssd300_coco", backbone=Stack())
    liar = Stack()
    liar.channels = (4, 16)
    with pytest.raises(ValueError, match=r"says that its maps have \[4, 16\] channels, but returns \[4, 8\]"):
        detzoo.build("fcos_r18_fpn_shapes", classes=["a"], backbone=liar).eval().detect(images())


SLOTS = [method for method in METHODS if method.__dict__["Config"].model_fields["backbone"].discriminator == "kind"]


def test_most_methods_have_a_slot() -> None:
    assert len(METHODS) - len(SLOTS) == 5, "CornerNet, CentripetalNet, SSD, TridentNet and YOLOv3 have none"


def test_an_own_method_is_known_where_it_is_passed(tmp_path: Path) -> None:
    detector = Mine(Mine.Config(width=3), ("a", "b"))
    path = detector.eval().save(tmp_path / "mine.safetensors")
    again = detzoo.load(path, methods=[Mine])
    assert isinstance(again, Mine)
    assert (again.config, again.classes) == (detector.config, ("a", "b"))
    result = again.predict(torch.zeros(40, 50, 3, dtype=torch.uint8).numpy(), threshold=0, size=32)[0]
    assert sorted(result.names) == ["a", "b"]
    with pytest.raises(
        ConfigError, match=r"mine\.safetensors: .*pass its class: detzoo\.load\(path, methods=\[Mine\]\)"
    ):
        detzoo.load(path)
    model: Any = Mine.Config(width=5)
    recipe = Recipe(name="own", model=model)
    with pytest.raises(ConfigError, match="'mine' is not a method"):
        from_json(Recipe, to_json(recipe))
    assert detzoo.build(recipe, classes=["a"]).get_parameter("conv.weight").shape[0] == 5
    with pytest.raises(ValueError, match="pass classes="):
        detzoo.build(Mine.Config())


def test_what_is_no_method_is_refused(tmp_path: Path) -> None:
    class Bare(Detector):
        pass

    class Taken(Detector):
        class Config(DetectorConfig):
            method: Literal["retinanet"] = "retinanet"

    cases: list[tuple[Any, str]] = [(nn.Identity, "takes subclasses of detzoo.Detector"), (Bare, "has no settings")]
    for given, words in cases:
        with pytest.raises(TypeError, match=words):
            detzoo.load(Mine(Mine.Config(), ("a",)).save(tmp_path / "mine.safetensors"), methods=[given])
    with pytest.raises(ConfigError, match="named 'retinanet' as one of detzoo's"):
        detzoo.find("fcos_r18_fpn_shapes").replace(model=Taken.Config())


@pytest.mark.parametrize("kind", ["settings", "detector"])
def test_an_own_method_trains_stops_and_goes_on(tmp_path: Path, quick: None, kind: str) -> None:
    given = Mine.Config() if kind == "settings" else Mine(Mine.Config(), ("circle", "square"))
    out = tmp_path / "run"
    first = train(given, data="shapes:4/2", out=out, epochs=1, evaluate_every=0, workers=0, progress=False)
    assert first.detector.config == Mine.Config()
    with pytest.raises(CheckpointError, match=r"pass its class"):
        train(resume=out, epochs=2)
    second = train(resume=out, epochs=2, methods=[Mine], progress=False)
    assert [record["epoch"] for record in second.history] == [1, 2]
    assert isinstance(detzoo.load(second.last, methods=[Mine]), Mine)
