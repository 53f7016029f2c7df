"""Swin: its windows and attention by hand, odd sizes, every setting, and MMDetection's settings of it and ConvNeXt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor
from torch.nn import functional as F

from detzoo.backbones.swin import Swin
from detzoo.backbones.timm_backbone import TimmBackbone
from detzoo.config import ConfigError, validate
from detzoo.interop.mmdet.backbones import backbone
from detzoo.interop.section import Section
from detzoo.methods.faster_rcnn import FasterRCNN
from detzoo.recipes.recipe import Init
from detzoo.train import heads
from tests.test_backbones import randomize
from tests.tiny import tiny

SMALL = {"width": 16, "blocks": (2, 2), "heads": (2, 4), "window": 3, "out_stages": (1, 2), "drop_path": 0.0}


def build(**settings: Any) -> Swin:
    torch.manual_seed(0)
    return validate(Swin.Config, {**SMALL, **settings}).build()


def pixels(height: int = 40, width: int = 56) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_training_starts_from_the_authors_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They give timm's features on maps that windows tile."""
    theirs = SwinTransformer(img_size=48, window_size=3, embed_dim=16, depths=(2, 2), num_heads=(2, 4), num_classes=5)
    theirs.eval()
    randomize(theirs)
    state = {}
    for name, value in theirs.state_dict().items():  # timm merges cells where a stage begins, the authors where it ends
        name = re.sub(r"^layers\.(\d+)\.downsample", lambda found: f"layers.{int(found[1]) - 1}.downsample", name)
        state[name] = value
    torch.save({"model": state}, tmp_path / "swin.pth")
    monkeypatch.setattr(heads, "fetch", lambda url, sha256: tmp_path / "swin.pth")
    detector = tiny(FasterRCNN, backbone={"kind": "swin"} | SMALL).eval()
    lines = heads.load_init(detector, Init(url="http://127.0.0.1/swin.pth"))
    assert "norm0.weight" in lines[1]  # of the maps: it is not theirs
    x = pixels(48, 48)
    with torch.no_grad():
        wanted: Any = theirs.forward_intermediates(x, intermediates_only=True)
        for ours, map_ in zip(detector.get_submodule("backbone")(x), wanted, strict=True):
            torch.testing.assert_close(
                ours, F.layer_norm(map_.permute(0, 2, 3, 1), map_.shape[1:2]).permute(0, 3, 1, 2)
            )


@pytest.mark.parametrize("size", [(40, 56), (37, 61), (8, 8)])
def test_maps_are_rounded_up(size: tuple[int, int]) -> None:
    maps = build()(pixels(*size))
    for one, channels, stride in zip(maps, (16, 32), (4, 8), strict=True):
        assert one.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize(
    ("shift", "cell", "rows", "columns"),
    [
        (0, (0, 0), (0, 3), (0, 3)),
        (0, (3, 4), (3, 6), (3, 6)),
        (1, (0, 0), (0, 1), (0, 1)),  # which shares its window with the other ends of the map, but does not look there
        (1, (3, 4), (1, 4), (4, 7)),
    ],
)
def test_a_cell_looks_at_its_window_alone(
    shift: int, cell: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """By the gradient of one cell."""
    stage: Any = build().double().get_submodule("stages.0")
    given: list[Any] = []
    stage.blocks[shift].register_forward_pre_hook(lambda module, inputs: given.append(inputs))
    x = torch.randn(1, 7, 9, 16, dtype=torch.float64, requires_grad=True)
    stage(x)
    out = stage.blocks[shift](x, *given[0][1:])
    (gradient,) = torch.autograd.grad(out[0, cell[0], cell[1]].sum(), x)
    wanted = torch.zeros(7, 9, dtype=torch.bool)
    wanted[slice(*rows), slice(*columns)] = True
    assert given[0][1] == shift
    assert torch.equal(gradient[0].abs().sum(-1) > 1e-30, wanted)


def test_attention_adds_the_bias_of_each_difference() -> None:
    attention: Any = build().double().get_submodule("stages.0.blocks.0.attn.w_msa")
    x = torch.randn(1, 1, 9, 16, dtype=torch.float64)
    query, key, value = attention.qkv(x)[0, 0].view(9, 3, 2, 8).unbind(1)
    wanted = torch.zeros(9, 2, 8, dtype=torch.float64)
    for head in range(2):
        for one in range(9):
            scores = [
                query[one, head] @ key[other, head] / 8**0.5
                + attention.relative_position_bias_table[
                    (one // 3 - other // 3 + 2) * 5 + one % 3 - other % 3 + 2, head
                ]
                for other in range(9)
            ]
            wanted[one, head] = torch.stack(scores).softmax(0) @ value[:, head]
    torch.testing.assert_close(attention(x, None)[0, 0], attention.proj(wanted.flatten(1)))


def test_frozen_stages_and_checkpointing() -> None:
    network = build(frozen_stages=1)
    learning = {name for name, value in network.named_parameters() if value.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"stages", "norm1"}
    assert not any(name.startswith("stages.0.") for name in learning)
    gradients = []
    for checkpointing in (False, True):
        network = build(checkpointing=checkpointing)
        network(pixels())[1].square().mean().backward()
        gradients.append([value.grad for name, value in network.named_parameters() if name != "norm0"])
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)


def test_training_skips_blocks_of_some_images() -> None:
    block: Any = build(drop_path=0.5).get_submodule("stages.1.blocks.1")
    x = torch.ones(4000, 1, 1, 1)
    torch.manual_seed(0)
    dropped = block.train().drop(x).flatten()
    assert set(dropped.tolist()) == {0.0, 2.0}
    assert abs(float(dropped.mean()) - 1) < 0.1
    assert block.eval().drop(x) is x
    rates = [one.rate for one in build(drop_path=0.3).modules() if hasattr(one, "rate")]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_titles() -> None:
    assert Swin.Config().title == "Swin-T"
    assert validate(Swin.Config, {"blocks": (2, 2, 18, 2)}).title == "Swin-S"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": (3, 6)}, "16 channels of stage 1 are not for 3 heads"),
        ({"heads": (2,)}, "as many entries, got 2 and 1"),
        ({"out_stages": (3,)}, "out_stages must lie in 1 to 2"),
        ({"out_stages": (2, 1)}, "out_stages must rise"),
        ({"frozen_stages": 3}, "there are 2 stages"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**settings)


def read(**settings: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    return backbone(Section(settings, "model.backbone", notes))[0], notes


CONVNEXT = {"type": "mmpretrain.ConvNeXt", "out_indices": [0, 1, 2, 3], "gap_before_final_norm": False}


def test_settings_of_mmdetection() -> None:
    made, notes = read(type="SwinTransformer", depths=[2, 2, 18, 2], out_indices=(1, 2, 3), drop_rate=0.1)
    assert made == Swin.Config(blocks=(2, 2, 18, 2), out_stages=(2, 3, 4))
    assert notes == ["model.backbone.drop_rate=0.1 has no counterpart; 0 has"]
    made, _ = read(**CONVNEXT, arch="small", frozen_stages=2)
    assert made == TimmBackbone.Config(
        name="convnext_small", out_indices=(0, 1, 2, 3), drop_path=0.0, norms=True, frozen_stages=2
    )
    made, _ = read(**CONVNEXT | {"type": "mmcls.ConvNeXt"}, use_grn=True, layer_scale_init_value=0.0)
    assert made.name == "convnextv2_tiny"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "SwinTransformer", "use_abs_pos_embed": True}, "use_abs_pos_embed=True has no counterpart"),
        ({"type": "SwinTransformer", "qk_scale": 0.1}, "qk_scale=0.1 has no counterpart"),
        ({"type": "SwinTransformer", "foo": 1}, "foo=1 is not known"),
        ({**CONVNEXT, "arch": "atto"}, "arch='atto' has no counterpart; one of tiny"),
        ({**CONVNEXT, "gap_before_final_norm": True}, "gap_before_final_norm=True has no counterpart"),
        ({**CONVNEXT, "use_grn": True}, "layer_scale_init_value"),
    ],
)
def test_settings_without_a_counterpart_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(**settings)
