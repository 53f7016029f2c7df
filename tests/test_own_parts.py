"""Parts that a program passes in: docs/own-parts.md word for word, and what is refused."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import detzoo
from detzoo.backbones.own import OwnBackbone, own_parts
from detzoo.config import ConfigError, from_json, to_json, validate
from detzoo.data.dataset import Dataset, open_dataset
from detzoo.data.loader import make_loader
from detzoo.data.problems import DataError
from detzoo.data.read import read_split
from detzoo.data.source import as_data
from detzoo.detector import Detector, DetectorConfig, Input
from detzoo.evaluate.run import evaluate
from detzoo.pickles.machine import CheckpointError
from detzoo.recipes.augment import Mixup, Resize
from detzoo.recipes.blueprint import blueprint
from detzoo.recipes.own_backbone import with_backbone
from detzoo.recipes.recipe import METHODS, Recipe, recipe_of
from detzoo.recipes.settings import Data
from detzoo.train.log import read_log
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
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "mine",
        "squares",
        "stack",
        "varied",
        "watched",
    ]
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
    with pytest.raises(ConfigError, match="TridentNet is built for one kind of backbone"):
        detzoo.build("tridentnet_r50_shapes", backbone=Stack())
    liar = Stack()
    liar.channels = (4, 16)
    with pytest.raises(ValueError, match=r"says that its maps have \[4, 16\] channels, but returns \[4, 8\]"):
        detzoo.build("fcos_r18_fpn_shapes", classes=["a"], backbone=liar).eval().detect(images())


SLOTS = [method for method in METHODS if method.__dict__["Config"].model_fields["backbone"].discriminator == "kind"]


@pytest.mark.parametrize("method", SLOTS, ids=lambda method: method.__name__)
def test_every_slot_takes_an_own_backbone(method: type[Detector]) -> None:
    recipe = recipe_of(method.__dict__["Config"]())
    wanted = blueprint(recipe, ("a",)).get_submodule("backbone")
    module = nn.Identity()
    module.channels, module.strides = wanted.channels, wanted.strides
    built = blueprint(with_backbone(recipe, module), ("a",))
    assert own_parts(built) == ["backbone.network"]


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


class Pictures:
    """One object in each picture, of a class that its number says."""

    def __init__(self, count: int = 4, classes: Sequence[str] = ("dark", "light"), masks: bool = False) -> None:
        self.count, self.classes, self.masks = count, classes, masks

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Any, dict[str, Any]]:
        picture = np.full((40 + 8 * (number % 2), 64, 3), 128, np.uint8)
        picture[8:32, 4 * number : 4 * number + 24] = 255 * (number % 2)
        target: dict[str, Any] = {
            "boxes": [[4 * number, 8, 4 * number + 24, 32]],
            "labels": [number % len(self.classes)],
        }
        return picture, target | ({"masks": picture[None, ..., 0] != 128} if self.masks else {})


def opened(data: Any, steps: Sequence[Any] = (), masks: bool = False, augment: bool = True) -> Dataset:
    settings = as_data(data).replace(masks=masks, augment=(Resize(),))
    return open_dataset(settings, "train", Input(short=40, long=80, multiple=8), augment, steps=steps)


def test_items_are_what_the_readers_make_of_files() -> None:
    dataset = opened(Pictures(masks=True), masks=True, augment=False)
    annotations = dataset.annotations
    assert annotations.sizes.tolist() == [[40, 64], [48, 64], [40, 64], [48, 64]]
    assert annotations.areas.tolist() == [24.0 * 24] * 4
    assert [annotations.image_id(number) for number in range(4)] == [0, 1, 2, 3]
    sample = dataset[1]
    assert (sample.path, sample.original_size, tuple(sample.pixels.shape)) == ("Pictures/1", (48, 64), (3, 40, 53))
    torch.testing.assert_close(sample.target["boxes"], torch.tensor([[4, 8, 28, 32]]) * (53 / 64), rtol=0.02, atol=0)
    assert int(sample.target["masks"].dense().sum()) == pytest.approx(24 * 24 * (40 / 48) * (53 / 64), rel=0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"picture": np.zeros((3, 9, 9), np.uint8)}, r"shape \(3, 9, 9\).*transpose\(1, 2, 0\)"),
        ({"picture": np.zeros((9, 9, 3))}, "the picture is float64, not uint8"),
        ({"boxes": [[5, 5, 3, 3]]}, r"box 0, \(5, 5, 3, 3\), has no area .*left, top, right, bottom"),
        ({"boxes": [[0.1, 0.1, 0.5, 0.5]]}, "multiply them by width and height"),
        ({"boxes": [1, 2, 3, 4]}, r"boxes are int64 of the shape \(4,\)"),
        ({"labels": [2]}, "labels go from 2 to 2; of 2 classes they are 0 to 1"),
        ({"labels": [0.0]}, r"labels are float64 of the shape \(1,\), not whole numbers"),
        ({"masks": np.zeros((1, 9, 9), np.uint8)}, "masks are uint8"),
        ({"label": [0]}, "'label' is not a part of an item; did you mean 'labels'"),
        ({"id": 1.5}, "its id is a text or a whole number"),
    ],
)
def test_an_item_that_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    class Wrong(Pictures):
        def __getitem__(self, number: int) -> tuple[Any, dict[str, Any]]:
            picture, target = super().__getitem__(number)
            if number != 2:
                return picture, target
            return change.get("picture", picture), target | {word: change[word] for word in change if word != "picture"}

    with pytest.raises(DataError, match=f"item 2 of .*Wrong: .*{words}"):
        opened(Wrong())


def test_many_items_are_looked_at_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detzoo.data.own.MANY", 3)
    before = torch.get_rng_state()
    assert opened(Pictures()).annotations.boxes[:, 0].tolist() == [0, 4, 8, 12]
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(DataError, match=r"^item 2 of BadLabel: labels go from 2 to 2"):
        opened(BadLabel())


class BadLabel(Pictures):
    def __getitem__(self, number: int) -> tuple[Any, dict[str, Any]]:
        return super().__getitem__(number)[0], {"boxes": [[1, 1, 9, 9]], "labels": [number]}


def test_masks_are_asked_for_where_they_are_learned() -> None:
    with pytest.raises(ConfigError, match=r"no item of Pictures has masks: give them masks, bool \(M, H, W\)"):
        opened(Pictures(), masks=True)


def test_items_have_to_stay_the_same() -> None:
    class Moving(Pictures):
        calls = 0

        def __getitem__(self, number: int) -> tuple[Any, dict[str, Any]]:
            self.calls += 1
            return super().__getitem__(number + (self.calls > 4))

    with pytest.raises(DataError, match=r"item 0 of .*Moving has another size or other objects.*augment="):
        opened(Moving())[0]


def test_joined_sets_have_all_classes() -> None:
    joined = detzoo.data.join(Pictures(2), Pictures(3, ("light", "red")))
    assert (len(joined), joined.classes) == (5, ("dark", "light", "red"))
    assert [int(joined[number][1]["labels"][0]) for number in range(5)] == [0, 1, 1, 2, 1]
    with pytest.raises(ConfigError, match="has the classes light, red, Pictures has dark, light; unite=True"):
        detzoo.data.join(Pictures(), Pictures(3, ("light", "red")), unite=False)
    with pytest.raises(ConfigError, match="not a str"):
        detzoo.data.join("folder")


def test_what_is_no_data_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a list that has no classes"):
        as_data([1, 2, 3])
    with pytest.raises(ConfigError, match=r"passed in by data=\.\.\., and by no file"):
        validate(Data, {"kind": "own", "own": ["Pictures"]})
    noted = from_json(Data, to_json(as_data((Pictures(), Pictures(3)))))
    assert (noted.kind, noted.train[0].annotations, noted.val[0].count) == ("own", "train: Pictures", 3)
    with pytest.raises(ConfigError, match=r"the program's own \(val: Pictures\).*pass it in, data="):
        read_split(noted, "val")


def test_own_data_is_measured_like_files(tmp_path: Path) -> None:
    detector = Mine(Mine.Config(input=Input(short=32, long=64)), ("light", "dark", "other"))

    def objects(found: list[dict[str, Any]], truth: list[dict[str, Any]]) -> dict[str, float]:
        assert [there["id"] for there in truth] == [0, 1, 2, 3]
        assert all(len(one["boxes"]) == 2 for one in found), "of the data's classes"
        return {"objects": sum(len(there["labels"]) for there in truth)}

    report = evaluate(detector, Pictures(), metrics=[objects], workers=0, progress=False, out=tmp_path / "r.json")
    assert (report.images, report.metrics["objects"]) == (4, 4.0)
    assert 0 <= report.metrics["box_ap"] < 1
    assert "objects 4.0" in str(report).replace("4.000", "4.0")
    with pytest.raises(ConfigError, match="the metric <lambda> returned 'much'"):
        evaluate(detector, Pictures(), metrics=[lambda found, truth: "much"], workers=0, progress=False)  # pyright: ignore[reportArgumentType]


def noise(picture: Any, targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """All three generators draw, and half of the time the object goes."""
    picture = picture[: 30 + random.randrange(10)] + np.random.randint(0, 9, dtype=np.uint8)  # noqa: NPY002
    kept = torch.rand(len(targets["boxes"])).numpy() < 0.5
    return picture, {
        word: value[kept][:, : len(picture)] if word == "masks" else value[kept] for word, value in targets.items()
    }


def pixels_of(dataset: Dataset, workers: int, epoch: int, start: int = 0) -> list[Tensor]:
    loader = make_loader(dataset, 1, train=True, workers=workers, seed=3)
    loader.set_epoch(epoch, start)
    return [torch.cat([batch.pixels.flatten(), batch.targets.boxes.flatten()]) for batch in loader]


def test_own_augmentation_follows_from_seed_epoch_and_place() -> None:
    dataset = opened(Pictures(6, masks=True), [noise], masks=True)
    before = random.getstate(), torch.get_rng_state()
    here = pixels_of(dataset, 0, epoch=1)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    random.seed(7)
    for number, (one, other) in enumerate(zip(here[2:], pixels_of(dataset, 1, epoch=1, start=2), strict=True)):
        assert torch.equal(one, other), f"place {number + 2} with a worker, and resumed"
    assert not all(map(torch.equal, here, pixels_of(dataset, 0, epoch=2)))
    assert torch.equal(
        opened(Pictures(), [noise], augment=False)[0].pixels, opened(Pictures(), augment=False)[0].pixels
    )


def test_own_augmentation_comes_before_mixing() -> None:
    settings = as_data(Pictures(masks=False)).replace(augment=(Mixup(epochs=None), Resize()))

    def cut(picture: Any, targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return picture[4:], targets | {"boxes": targets["boxes"] - [0, 4, 0, 4]}

    dataset = open_dataset(settings, "train", Input(short=36, long=64, multiple=4), True, steps=[cut])
    target = dataset[0].target
    assert target["boxes"][:, 1].max() <= 4 * 36 / 36
    assert (len(target["boxes"]), len(target["shares"])) == (2, 2)
    assert int(target["labels"][0]) == 0


def test_own_augmentation_is_looked_at() -> None:
    def outside(picture: Any, targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return picture, targets | {"boxes": targets["boxes"] - [0, 20, 0, 20]}

    assert opened(Pictures(), [outside])[0].target["boxes"].tolist() == [[0, 0, 24, 12]]

    def lost(picture: Any, targets: dict[str, Any]) -> Any:
        return picture

    with pytest.raises(DataError, match=r"augment, .*lost of Pictures/0: it has to return a pair"):
        opened(Pictures(), [lost])[0]
    with pytest.raises(DataError, match=r"^augment, .*lost of Pictures"):
        pixels_of(opened(Pictures(), [lost]), workers=1, epoch=0)
    with pytest.raises(DataError, match="returns no masks"):
        opened(Pictures(masks=True), [lambda picture, targets: (picture, {**targets, "masks": None})], masks=True)[0]
    with pytest.raises(TypeError, match="augment takes a list of callables"):
        train("fcos_r18_fpn_shapes", data=Pictures(), augment=[lost, 3])


class Transform:
    """What albumentations' `Compose` does when called: it drops an object, mirrors the rest, and gives lists."""

    seeds: list[int]

    def __init__(self) -> None:
        self.seeds = []

    def set_random_seed(self, seed: int) -> None:
        self.seeds.append(seed)

    def __call__(self, *, image: Any, bboxes: Any, labels: Any, masks: Any = None) -> dict[str, Any]:
        width = image.shape[1]
        boxes = [(width - right, top, width - left, bottom) for left, top, right, bottom in bboxes[1:]]
        given = {"image": image[:, ::-1], "bboxes": boxes, "labels": [float(label) for label in labels[1:]]}
        return given if masks is None else given | {"masks": [mask[:, ::-1] for mask in masks]}


def test_transforms_with_the_call_of_albumentations_are_adapted() -> None:
    transform = Transform()
    step = detzoo.data.albumentations(transform)
    masks = np.zeros((3, 8, 10), bool)
    masks[np.arange(3), 0, np.arange(3)] = True
    boxes = np.array([[0, 0, 1, 1], [1, 0, 2, 1], [2, 0, 3, 1]], np.float32)
    targets = {"boxes": boxes, "labels": np.array([5, 6, 7]), "ignore": np.array([True, False, True]), "masks": masks}
    picture, found = step(np.arange(240, dtype=np.uint8).reshape(8, 10, 3), targets)
    assert picture[0, 0].tolist() == [27, 28, 29]
    assert found["boxes"].tolist() == [[8, 0, 9, 1], [7, 0, 8, 1]]
    assert (found["labels"].tolist(), found["ignore"].tolist()) == ([6, 7], [False, True])
    assert np.argwhere(found["masks"]).tolist() == [[0, 0, 8], [1, 0, 7]]
    for _ in range(2):
        opened(Pictures(), [step])[1]
    assert transform.seeds[1] == transform.seeds[2] != transform.seeds[0]
    only = step(picture, {word: value[:1] for word, value in targets.items() if word != "masks"})[1]
    assert (only["boxes"].shape, only["labels"].shape) == ((0, 4), (0,))


def fitted(out: Path, **more: Any) -> Any:
    settings = {"data": (Pictures(), Pictures(2)), "batch": 2, "workers": 0, "progress": False, "epochs": 2}
    return train(Mine.Config(input=Input(short=32, long=64)), out=out, **(settings | more))


class Watch:
    """Takes down what it is told, and stops the run at one moment."""

    def __init__(self, stop: str = "", at: int = 0) -> None:
        self.seen: list[str] = []
        self.stop, self.at = stop, at

    def told(self, moment: str, values: Any) -> str | None:
        self.seen.append(f"{moment} {values['epoch']} {values['update']}")
        return "enough" if (moment, values["update"]) == (self.stop, self.at) else None

    def on_step(self, values: Any) -> str | None:
        assert values["losses"]["loss"] > 0
        return self.told("step", values)

    def on_epoch(self, values: Any) -> str | None:
        return self.told("epoch", values)

    def on_validation(self, values: Any) -> str | None:
        assert 0 <= values["metrics"]["box_ap"] <= 1
        return self.told("validation", values)


def test_callbacks_are_told_and_may_stop_the_run(tmp_path: Path, quick: None) -> None:
    watch = Watch()
    assert fitted(tmp_path / "whole", callbacks=[watch]).ended == "all 2 epochs are done"
    whole = [
        "step 1 1",
        "step 1 2",
        "validation 1 2",
        "epoch 1 2",
        "step 2 3",
        "step 2 4",
        "validation 2 4",
        "epoch 2 4",
    ]
    assert watch.seen == whole
    for moment, at, seen in (("step", 3, 5), ("epoch", 2, 4), ("validation", 2, 4)):
        watch, out = Watch(moment, at), tmp_path / moment
        assert fitted(out, callbacks=[watch]).ended == f"stopped by a callback: enough (Watch.on_{moment})"
        assert watch.seen == whole[:seen]
        rest = Watch()
        ended = train(resume=out, data=(Pictures(), Pictures(2)), methods=[Mine], callbacks=[rest], progress=False)
        assert ended.ended == "all 2 epochs are done"
        assert watch.seen + rest.seen == whole
        assert [record["epoch"] for record in ended.history] == [1, 2]


def test_what_is_no_callback_is_refused(tmp_path: Path) -> None:
    class Late:
        def on_epoch_end(self, values: Any) -> None: ...

    for given, words in (
        (Late(), "'on_epoch_end' is not a moment.*did you mean 'on_epoch'"),
        (3, "takes callables, or"),
    ):
        with pytest.raises(TypeError, match=words):
            fitted(tmp_path, callbacks=[given])


def test_an_own_optimizer_is_scheduled_and_remembered(
    tmp_path: Path, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def rms(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        first, *rest = parameters
        groups = [{"params": [first]}, {"params": rest, "lr": 0.002}]
        return torch.optim.RMSprop(groups, lr=0.01, momentum=0.5)

    rates: list[float] = []
    decay = {"decay": "step", "milestones": (1,), "warmup_steps": 0, "gamma": 0.5}
    more = {
        **decay,
        "optimizer": rms,
        "metrics": [len_of],
        "callbacks": [lambda record: rates.append(record.get("lr", 0))],
    }
    whole = fitted(tmp_path / "whole", **more)
    assert [rate for rate in rates if rate] == [0.01, 0.01, 0.005, 0.005]
    assert whole.history[-1]["metrics"]["len_of"] == 2.0
    fitted(tmp_path / "cut", **(more | {"augment": [same], "epochs": 1, "milestones": ()}))
    names = {"augment": ["same"], "metrics": ["len_of"]}
    assert {word: read_log(tmp_path / "cut" / "log.jsonl")[0]["own"][word] for word in names} == names
    capsys.readouterr()
    resumed: dict[str, Any] = {
        "resume": tmp_path / "cut",
        "methods": [Mine],
        "epochs": 2,
        "milestones": (1,),
        "progress": False,
    }
    data = (Pictures(), Pictures(2))
    again = train(data=data, optimizer=rms, metrics=[len_of], augment=[same], **resumed)
    for name, value in whole.detector.state_dict().items():
        assert torch.equal(value, again.detector.state_dict()[name]), name
    said = capsys.readouterr()
    assert "before this run was stopped" not in said.out + said.err
    resumed["epochs"] = 3
    train(data=data, **resumed)
    said = capsys.readouterr()
    assert "own optimizer: " in said.out + said.err
    with pytest.raises(ValueError, match="differ in 1 parameters"):
        fitted(tmp_path / "less", optimizer=lambda parameters: torch.optim.SGD(parameters[1:], lr=0.1))
    with pytest.raises(TypeError, match=r"returns a torch\.optim\.Optimizer, not a list"):
        fitted(tmp_path / "none", optimizer=lambda parameters: parameters)


def len_of(found: list[dict[str, Any]], truth: list[dict[str, Any]]) -> float:
    return len(truth)


def same(picture: Any, targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return picture, targets
