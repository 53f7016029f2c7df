"""Backbones of timm: what they return, every setting, weights, and names that are none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

import detzoo
from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.blocks.layers import BatchNorm2d, share_statistics
from detzoo.config import ConfigError, override, validate
from detzoo.evaluate.inference import in_evaluation_mode
from detzoo.interop.mmdet.backbones import backbone as read_backbone
from detzoo.interop.renaming import rename
from detzoo.interop.section import Section
from detzoo.methods.fcos import FCOS
from detzoo.methods.mask_rcnn import MaskRCNN
from detzoo.methods.retinanet import RetinaNet
from detzoo.train.loop import train
from tests.tiny import detect, images, targets, tiny, total
from tests.train_fakes import quick

__all__ = ["quick"]

# one of each kind: maps from stride 4 or 2 on, channels first or last, for one size or any
SMALL = ("test_convnext", "test_efficientnet", "mobilenetv3_small_050", "swin_tiny_patch4_window7_224")


def build(name: str = "test_convnext", **settings: Any) -> TimmBackbone:
    torch.manual_seed(0)
    return validate(TimmBackbone.Config, {"name": name, **settings}).build()


def pixels(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SMALL)
def test_maps_have_the_channels_and_strides_that_are_said(name: str) -> None:
    for settings in ({}, {"out_indices": (-3, -2), "norms": True}):
        with torch.device("meta"):
            network = build(name, **settings)
            maps = network(torch.empty(2, 3, 64, 96))
        assert network.strides == ((8, 16) if settings else (4, 8, 16, 32))
        assert [one.shape[1] for one in maps] == list(network.channels)
        assert [tuple(one.shape[2:]) for one in maps] == [(64 // stride, 96 // stride) for stride in network.strides]


def test_maps_are_timm_s() -> None:
    ours = build("swin_tiny_patch4_window7_224", out_indices=(1,)).eval()
    theirs: Any = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, strict_img_size=False).eval()
    state = {name.replace("layers_", "layers."): value for name, value in ours.network.state_dict().items()}
    theirs.load_state_dict(state, strict=False)
    with torch.no_grad():
        wanted = theirs.layers[:2](theirs.patch_embed(pixels()))
        torch.testing.assert_close(ours(pixels())[0], wanted.permute(0, 3, 1, 2))


@pytest.mark.parametrize("name", SMALL[:3])
def test_half_precision(name: str) -> None:
    network = build(name).eval()
    with torch.no_grad():
        wanted, found = network(pixels()), network.to(torch.bfloat16)(pixels())
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.float(), other, rtol=0.1, atol=0.05 * float(other.abs().max()))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "test_efficientnet"])
def test_batch_normalization_is_ours_and_computes_the_same(name: str) -> None:
    """With the activation in the same module and without; so that ``schedule.sync_bn`` reaches it."""
    network = build(name)
    theirs: Any = timm.create_model(name, features_only=True, out_indices=(-4, -3, -2, -1))
    theirs.load_state_dict(network.network.state_dict(), strict=False)
    for training in (True, False):
        found, wanted = network.train(training)(pixels()), theirs.train(training)(pixels())
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    learned = {name: value for name, value in theirs.state_dict().items() if name in network.network.state_dict()}
    torch.testing.assert_close(network.network.state_dict(), learned, rtol=1e-4, atol=1e-5)
    share_statistics(network, over_ranks=True)
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    assert norms
    assert all(isinstance(norm, BatchNorm2d) and norm.over_ranks for norm in norms)


@pytest.mark.parametrize("name", SMALL[:3])
def test_validation_in_training_evaluates_all_of_it(name: str) -> None:
    detector = tiny(RetinaNet, backbone={"kind": "timm", "name": name, "out_indices": (-3, -2)}).train()
    ready = in_evaluation_mode(detector)
    assert not any(module.training for module in ready.modules())
    assert all(module.training for module in detector.modules())


def test_norms_are_over_channels() -> None:
    plain, normed = build().eval(), build(norms=True, out_indices=(0, 3)).eval()
    normed.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        x = plain(pixels())[3]
        wanted = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-6).sqrt()
        torch.testing.assert_close(normed(pixels())[1], wanted)
    assert {"norm0", "norm3"} < set(dict(normed.named_children()))


STEMS = {
    "test_efficientnet": "conv_stem",
    "test_convnext": "stem_0",
    "resnet10t": "conv1.0",
    "test_vit": "model.patch_embed.proj",
}


@pytest.mark.parametrize("name", STEMS)
def test_all_that_is_not_frozen_learns(name: str) -> None:
    everything: set[str] = set()
    for frozen in (-1, 0, 2):
        maps = (-1,) if name == "test_vit" else (-3, -2)
        network = build(name, frozen_stages=frozen, norm_eval=True, out_indices=maps)
        if frozen == -1:
            everything = {one for one, _ in network.named_parameters()}
        torch.stack([one.square().mean() for one in network(pixels())]).sum().backward()
        learning = {one for one, value in network.named_parameters() if value.requires_grad}
        assert {one for one, value in network.named_parameters() if value.grad is not None} == learning
        assert (learning < everything) == (frozen >= 0)
        assert (f"network.{STEMS[name]}.weight" in learning) == (frozen < 0)
        assert not any(one.training for one in network.modules() if isinstance(one, _BatchNorm))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext", "test_vit"])
def test_checkpointing_changes_no_number(name: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        network = build(name, checkpointing=checkpointing, norm_eval=True, out_indices=(-1,))
        network(pixels())[0].square().mean().backward()
        gradients.append([value.grad for value in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_drop_path_reaches_the_blocks() -> None:
    rates = [getattr(one, "drop_prob", 0) for one in build(drop_path=0.3).modules()]
    assert max(rates) == pytest.approx(0.3)
    assert max(getattr(one, "drop_prob", 0) for one in build().modules()) == 0


@pytest.mark.parametrize(("method", "name"), [*zip([MaskRCNN, RetinaNet, FCOS], SMALL, strict=False)])
def test_methods_train_save_and_load(method: Any, name: str, tmp_path: Path) -> None:
    detector = tiny(method, backbone={"kind": "timm", "name": name})
    losses = detector(images(), targets(2, 1))
    total(losses).backward()
    assert all(value.grad is not None for value in detector.get_submodule("backbone").parameters())
    recipe = RETINANET.replace(model=detector.config)
    built = detzoo.build(recipe).eval()
    again = detzoo.load(built.save(tmp_path / "timm.safetensors"))
    with torch.no_grad():
        one, other = detect(built, images()), detect(again, images())
    assert torch.equal(one.scores, other.scores)
    assert torch.equal(one.boxes, other.boxes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "conxnext_tiny"}, "'conxnext_tiny' is not a model of timm; did you mean 'convnext_tiny'"),
        ({"name": "convnext_tiny.nothing"}, "Invalid pretrained tag"),
        ({"name": "hf-hub:somebody/model"}, "name: String should match"),
        ({"name": "beit_base_patch16_224"}, r"cannot be a backbone .*height \(96\) doesn't match"),
        ({"name": "crossvit_9_240"}, "cannot be a backbone"),
        ({"out_indices": (9,)}, r"cannot be a backbone with out_indices \(9,\)"),
        ({"out_indices": (-1, 1)}, "out_indices must rise"),
        ({"out_indices": ()}, "out_indices must rise"),
        ({"name": "vgg11", "drop_path": 0.1}, "drop_path_rate"),
        ({"frozen_stages": 5}, "frozen_stages is 5, but there are 4 stages"),
    ],
)
def test_what_cannot_be_built_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**settings)


RETINANET = detzoo.find("retinanet_r18_fpn_shapes")
WITH_TIMM = ("model.backbone.kind=timm", "model.backbone.name=test_convnext", "model.backbone.out_indices=[2,3]")


def test_the_model_of_a_recipe_that_timm_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="the model cannot be built: 'nothing' is not a model of timm"):
        detzoo.build(override(RETINANET, [WITH_TIMM[0], "model.backbone.name=nothing"]))


def test_without_timm_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError, match=r"^a backbone .* needs timm: pip install detzoo\[timm\]$"):
        build()


def test_timm_is_imported_only_where_a_backbone_is_built() -> None:
    files = Path(detzoo.__file__).parent.rglob("*.py")
    found = [(path.name, line) for path in files for line in path.read_text().splitlines() if "import timm" in line]
    assert found == [("timm_backbone.py", "        import timm")]


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.usefixtures("quick")
def test_training_starts_from_timm_s_weights(
    away: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file cannot make `build` or `load` ask for them."""
    real, asked = timm.create_model, []
    torch.manual_seed(7)
    weights = real("test_convnext", features_only=True).state_dict()

    def create(name: str, pretrained: bool = False, **settings: Any) -> Any:
        network = real(name, **settings)
        if pretrained:
            asked.append(name)
            if away:
                raise ConnectionError("no way to the hub")
            network.load_state_dict(weights)
        return network

    monkeypatch.setattr(timm, "create_model", create)
    more = ("model.backbone.pretrained=true", "model.backbone.frozen_stages=0", "data.workers=0")
    size = ("model.input.short=32", "model.input.long=48", "schedule.epochs=1", "schedule.evaluate_every=0")
    recipe = override(RETINANET, [*WITH_TIMM, *more, *size])
    made = train(recipe, "shapes:4/1", tmp_path / "run", device="cpu", progress=False)
    assert asked == ["test_convnext"]
    same = torch.equal(made.detector.get_parameter("backbone.network.stem_0.weight"), weights["stem_0.weight"])
    assert same == (not away)
    shown = capsys.readouterr().out
    assert ("starting from timm's weights of test_convnext (apache-2.0)" in shown) == (not away)
    assert ("random weights instead of timm's; expect far less of it. model.backbone.pretrained=false" in shown) == away
    detzoo.load(made.last)
    assert asked == ["test_convnext"]


def test_a_convnext_has_the_names_of_mmpretrain() -> None:
    detector = tiny(MaskRCNN, backbone={"kind": "timm", "name": "test_convnext", "norms": True})
    for published, ours in (
        ("downsample_layers.0.1.weight", "network.stem_1.weight"),
        ("downsample_layers.3.0.bias", "network.stages_3.downsample.0.bias"),
        ("stages.2.0.depthwise_conv.weight", "network.stages_2.blocks.0.conv_dw.weight"),
        ("stages.0.0.pointwise_conv2.weight", "network.stages_0.blocks.0.mlp.fc2.weight"),
        ("stages.1.0.gamma", "network.stages_1.blocks.0.gamma"),
        ("stages.3.0.norm.bias", "network.stages_3.blocks.0.norm.bias"),
        ("norm2.weight", "norm2.weight"),
    ):
        assert detector.own_name(f"backbone.{published}") == f"backbone.{ours}"
        assert f"backbone.{ours}" in detector.state_dict()


def test_mmpretrain_s_models_of_timm_are_read_with_their_weights() -> None:
    """``TIMMBackbone``: its settings are timm's, and its parameters' names are timm's behind ``timm_model``."""
    given = {"type": "mmpretrain.TIMMBackbone", "model_name": "mobilenetv3_small_050", "features_only": True}
    made, features = read_backbone(Section({**given, "pretrained": True, "out_indices": (3, 4)}, "backbone", []))
    wanted = TimmBackbone.Config(name="mobilenetv3_small_050", pretrained=True, out_indices=(3, 4))
    assert made == wanted
    assert features.strides == (16, 32)
    network = wanted.build()
    for name in network.state_dict():
        published = name.replace("network.", "backbone.timm_model.", 1)
        assert rename(published, network.published_names) == f"backbone.{name}"
    for wrong in ({"features_only": False}, {"in_channels": 1}, {"checkpoint_path": "a.pth"}, {"output_stride": 16}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            read_backbone(Section({**given, **wrong}, "backbone", []))


def test_a_name_that_timm_calls_deprecated_builds() -> None:
    with torch.device("meta"), pytest.warns(UserWarning, match="deprecated model name"):
        assert build("tv_resnet34").channels == (64, 128, 256, 512)
