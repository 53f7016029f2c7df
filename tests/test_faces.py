"""BlazeFace and FaceBoxes: their networks, all maps' boxes ranked together, and PaddleDetection's settings of them."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from torch.nn import functional as F

import detzoo
from detzoo.backbones.blazenet import BlazeNet
from detzoo.backbones.faceboxnet import FaceBoxNet
from detzoo.config import ConfigError, validate
from detzoo.interop.paddle.importer import read_config
from detzoo.methods.ssd import SSD
from detzoo.necks.fpn_ssh import FPNSSH
from detzoo.recipes.paddle_faces import RECIPES
from detzoo.recipes.recipe import Recipe
from detzoo.types import Images
from tests.parity.golden import load
from tests.parity.paddle import weights
from tests.zoo import parameters

DYNAMIC = """
architecture: BlazeFace
num_classes: 1
metric: WiderFace
BlazeFace: {backbone: BlazeNet, neck: BlazeNeck, blaze_head: FaceHead, post_process: BBoxPostProcess}
BlazeNet:
  blaze_filters: [[24, 24], [24, 24], [24, 48, 2], [48, 48], [48, 48]]
  double_blaze_filters: [[48, 24, 96, 2], [96, 24, 96], [96, 24, 96], [96, 24, 96, 2], [96, 24, 96], [96, 24, 96]]
  act: relu
BlazeNeck: {neck_type: None, in_channel: [96, 96]}
FaceHead: {in_channels: [96, 96], anchor_generator: AnchorGeneratorSSD, loss: SSDLoss}
SSDLoss: {overlap_threshold: 0.35}
AnchorGeneratorSSD:
  steps: [8., 16.]
  aspect_ratios: [[1.], [1.]]
  min_sizes: [[16., 24.], [32., 48., 64., 80., 96., 128.]]
  max_sizes: [[], []]
  offset: 0.5
  flip: False
  min_max_aspect_ratios_order: false
BBoxPostProcess:
  decode: {name: SSDBox}
  nms: {name: MultiClassNMS, keep_top_k: 750, score_threshold: 0.01, nms_threshold: 0.3, nms_top_k: 5000, nms_eta: 1.0}
EvalReader:
  sample_transforms:
  - Decode: {}
  - NormalizeImage: {mean: [123, 117, 104], std: [127.502231, 127.502231, 127.502231], is_scale: false}
  - Permute: {}
"""
WITH_SSH = "BlazeNet: {act: hard_swish}\nBlazeNeck: {neck_type: fpn_ssh}"
_STATIC = """
num_classes: 2
metric: WIDERFACE
TestReader:
  sample_transforms:
  - {type: DecodeImage, to_rgb: true}
  - {type: Permute}
  - {type: NormalizeImage, is_scale: false, mean: [104, 117, 123], std: [127.502231, 127.502231, 127.502231]}
"""
_DECODER = "output_decoder: {keep_top_k: 750, nms_threshold: 0.3, nms_top_k: 5000, score_threshold: 0.01}"
BLAZEFACE = f"""
architecture: BlazeFace
BlazeFace:
  backbone: BlazeNet
  min_sizes: [[16., 24.], [32., 48., 64., 80., 96., 128.]]
  use_density_prior_box: false
  {_DECODER}
BlazeNet: {{with_extra_blocks: true, lite_edition: false}}{_STATIC}"""
NAS = """
BlazeNet:
  blaze_filters: [[12, 12], [12, 12, 2], [12, 12]]
  double_blaze_filters: [[12, 16, 24, 2], [24, 12, 24], [24, 16, 72, 2], [72, 12, 72]]
"""
NAS_V2 = """
BlazeNet:
  blaze_filters: [[12, 12], [12, 12, 2], [12, 12]]
  double_blaze_filters: [[12, 16, 32, 2], [32, 32, 32], [32, 16, 72, 2], [72, 24, 72]]
"""
FACEBOXES = f"""
architecture: FaceBoxes
FaceBoxes:
  backbone: FaceBoxNet
  densities: [[4, 2, 1], [1], [1]]
  fixed_sizes: [[32., 64., 128.], [256.], [512.]]
  {_DECODER}
FaceBoxNet: {{with_extra_blocks: true, lite_edition: false}}{_STATIC}"""
LITE = """
FaceBoxes: {densities: [[2, 1, 1], [1, 1]], fixed_sizes: [[16., 32., 64.], [96., 128.]]}
FaceBoxNet: {lite_edition: true}
"""
CASES = {
    "pd_blazeface_1000e": (DYNAMIC,),
    "pd_blazeface_fpn_ssh_1000e": (DYNAMIC, WITH_SSH),
    "pdold_blazeface": (BLAZEFACE,),
    "pdold_blazeface_lite": (BLAZEFACE, "BlazeNet: {lite_edition: true}"),
    "pdold_blazeface_nas": (BLAZEFACE, NAS),
    "pdold_blazeface_nas_v2": (BLAZEFACE, NAS_V2),
    "pdold_faceboxes": (FACEBOXES,),
    "pdold_faceboxes_lite": (FACEBOXES, LITE),
}


def merged(*texts: str) -> dict[str, Any]:
    """YAML texts, each over those before it."""
    values: dict[str, Any] = {}
    for text in texts:
        for name, value in yaml.safe_load(text).items():
            values[name] = {**values.get(name, {}), **value} if isinstance(value, dict) else value
    return values


def lite_shapes() -> dict[str, list[int]]:
    """Tensors of the lite BlazeFace, which was not recorded, as its code makes them."""
    widths = [24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96]
    layers: list[tuple[str, list[int]]] = [("conv1", [24, 3, 5, 5])]
    for number, (inputs, outputs) in enumerate(pairwise(widths), 2):
        layers += [(f"conv{number}_dw", [inputs, 1, 3, 3]), (f"conv{number}_sep", [outputs, inputs, 1, 1])]
        layers += [(f"shortcutconv{number}", [outputs, inputs, 1, 1])] if inputs != outputs else []
    shapes = {f"{name}_weights": shape for name, shape in layers}
    for number, (_, shape) in enumerate(layers):
        shapes |= {f"batch_norm_{number}.{leaf}": shape[:1] for leaf in ("w_0", "b_0", "w_1", "w_2")}
    for number, (outputs, inputs) in enumerate(((8, 88), (4, 88), (24, 96), (12, 96)), len(layers)):
        shapes |= {f"conv2d_{number}.w_0": [outputs, inputs, 3, 3], f"conv2d_{number}.b_0": [outputs]}
    return shapes


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_settings_and_weights_are_those_published(recipe: Recipe) -> None:
    imported = read_config(merged(*CASES[recipe.name]), classes=["face"])
    assert imported.recipe.model == recipe.model
    assert imported.notes == imported.differences == ()
    release, _, name = recipe.name.partition("_")
    place = f"paddle/{'static/' if release == 'pdold' else ''}{name}"
    shapes = lite_shapes() if name == "blazeface_lite" else load(place).shapes
    assert parameters(recipe, shapes, of_paddle=True) == "yes"


def test_a_static_model_by_its_files_names() -> None:
    golden = load("paddle/static/faceboxes_lite")
    detector: Any = detzoo.from_paddle(merged(*CASES["pdold_faceboxes_lite"]), weights(golden), classes=["face"])
    assert not detector.training
    assert detector.classes == ("face",)
    background, face = weights(golden)["conv2d_30.w_0"][:2]  # of the second map's first box, where it stands second
    assert torch.allclose(detector.cls[1].weight[:2], torch.stack([face, background]).float())
    picture = np.random.default_rng(0).integers(0, 255, (61, 83, 3), dtype=np.uint8)
    assert len(detector.predict(picture, threshold=0.0)[0].scores) > 5


@pytest.mark.parametrize(
    ("texts", "change", "message"),
    [
        ((DYNAMIC,), "BlazeNet: {use_5x5kernel: false}", "use_5x5kernel=False has no counterpart"),
        ((DYNAMIC,), "BlazeNet: {act: relu6}", "act='relu6' has no counterpart; relu, hard_swish and None have"),
        ((DYNAMIC,), "BlazeNet: {blaze_filters: [[24, 24, 3]]}", "is no list of blocks, each of 2 numbers"),
        ((DYNAMIC,), "BlazeNet: {blaze_filters: 3}", "is no list of up to 64 blocks"),
        ((DYNAMIC,), "BlazeNet: {blaze_filters: [[24, 32], [24, 48]]}", "a block is given 32 channels and has 24"),
        ((DYNAMIC,), "BlazeNeck: {neck_type: only_fpn}", "neck_type='only_fpn' has no counterpart"),
        (
            (DYNAMIC,),
            "AnchorGeneratorSSD: {max_sizes: [[20], []]}",
            "max_sizes=[...] has no counterpart; [] for each map has",
        ),
        ((DYNAMIC,), "AnchorGeneratorSSD: {min_sizes: [[0.], [16.]]}", "are no sizes"),
        ((DYNAMIC,), "AnchorGeneratorSSD: {min_sizes: 16}", "must be a list of 1 to 64 items, not 16"),
        ((BLAZEFACE,), "BlazeFace: {use_density_prior_box: true}", "use_density_prior_box=True has no counterpart"),
        ((BLAZEFACE,), "BlazeNet: {double_blaze_filters: [[48, 24, 48]]}", "one that ends with a stride of 2 has"),
        ((FACEBOXES,), "FaceBoxes: {densities: [[4, 2], [1], [1]]}", "one number for each of fixed_sizes has"),
        ((FACEBOXES,), "FaceBoxes: {densities: [[4, 2, 0.5], [1], [1]]}", "are no whole numbers"),
    ],
)
def test_what_changes_results_is_refused(texts: tuple[str, ...], change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_config(merged(*texts, change), classes=["face"])


def test_without_readers_pictures_keep_their_size() -> None:
    values = {name: value for name, value in merged(DYNAMIC).items() if name != "EvalReader"}
    imported = read_config(values, classes=["face"])
    assert imported.recipe.model.input == detzoo.find("pd_blazeface_1000e").model.input
    assert imported.differences == ("no reader says how pictures become the input, so that their own size is a guess",)
    assert read_config(values, classes=["face"], size=(64, 48)).recipe.model.input.resize


def _conv(layer: Any, x: torch.Tensor) -> torch.Tensor:
    return layer.norm(layer.conv(x))


def randomized(module: nn.Module) -> Any:
    """In evaluation, in double precision and with statistics that do something."""
    torch.manual_seed(0)
    for name, value in module.state_dict().items():
        if value.is_floating_point() and "running" in name:
            value.add_(torch.rand_like(value))
    return module.double().eval()


@pytest.mark.parametrize("middle", ["relu", "hard_swish", "none"])
def test_a_double_block_that_halves(middle: str) -> None:
    config = {"stem": 4, "singles": ((4, 1),), "doubles": ((6, 8, 2),), "out_blocks": (1, 2), "middle": middle}
    net = randomized(validate(BlazeNet.Config, config).build())
    first, second = net(torch.randn(2, 3, 21, 30, dtype=torch.float64))
    assert first.shape == (2, 4, 11, 15)
    assert second.shape == (2, 8, 6, 8)
    block: Any = net.double_blaze_0
    assert block.depthwise2.conv.groups == 6
    after = {"relu": F.relu, "hard_swish": lambda x: x * F.relu6(x + 3) / 6, "none": lambda x: x}[middle]
    y = after(_conv(block.pointwise, F.relu(_conv(block.depthwise, first))))
    y = F.relu(_conv(block.pointwise2, F.relu(_conv(block.depthwise2, y))))
    side = F.relu(_conv(block.shortcut, F.max_pool2d(F.pad(first, (0, 1, 0, 1)), 2)))
    assert torch.allclose(second, F.relu(y + side))


def test_blazenet_ends_with_the_last_asked_block() -> None:
    config = validate(BlazeNet.Config, {"out_blocks": (4, 6), "dense": True})
    net: Any = config.build()
    assert (net.channels, net.strides, config.title) == ((48, 96), (4, 8), "BlazeNet")
    assert not hasattr(net, "double_blaze_1")
    assert net.double_blaze_0.depthwise2.conv.groups == 1
    with pytest.raises(ConfigError, match="out_blocks must lie in 1 to 11"):
        validate(BlazeNet.Config, {"out_blocks": (4, 12)})


@pytest.mark.parametrize(("lite", "channels"), [(False, (128, 256, 256)), (True, (128, 256))])
def test_faceboxnet(lite: bool, channels: tuple[int, ...]) -> None:
    config = FaceBoxNet.Config(lite=lite)
    net = randomized(config.build())
    assert config.title == ("FaceBoxNet-lite" if lite else "FaceBoxNet")
    assert (net.channels, net.strides) == (channels, (8, 16, 32)[: len(channels)])
    maps = net(torch.randn(1, 3, 37, 66, dtype=torch.float64))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (width, -(-37 // stride), -(-66 // stride)) for width, stride in zip(channels, net.strides, strict=True)
    ]
    frozen = {name.split(".")[0] for name, value in net.named_parameters() if not value.requires_grad}
    assert frozen == (set() if lite else {"conv_2"})  # which published weights hold, and nothing reads


def test_views_of_three_sizes_on_a_pyramid() -> None:
    neck = randomized(FPNSSH.Config().build((6, 16), (8, 16)))
    assert (neck.channels, neck.strides) == ((8, 8), (8, 16))
    fine, coarse = torch.randn(1, 6, 5, 7, dtype=torch.float64), torch.randn(1, 16, 3, 4, dtype=torch.float64)
    found = neck((fine, coarse))
    below = F.leaky_relu(_conv(neck.laterals[1], coarse), 0.01)
    merged_map = F.leaky_relu(_conv(neck.laterals[0], fine), 0.01) + F.interpolate(below, (5, 7))
    for x, context, result in zip(
        (F.leaky_relu(_conv(neck.merges[0], merged_map), 0.01), below), neck.contexts, found, strict=True
    ):
        a, b, c, d, e = context.convs
        three = _conv(a, x)
        five = _conv(c, F.leaky_relu(_conv(b, three), 0.01))
        seven = _conv(e, F.leaky_relu(_conv(d, five), 0.01))
        assert torch.allclose(result, F.relu(torch.cat([three, five, seven], 1)))
    with pytest.raises(ValueError, match="a multiple of 8 channels, not 12"):
        FPNSSH((6, 12), (8, 16))


def test_the_best_boxes_of_all_maps_together() -> None:
    torch.manual_seed(0)
    head = {
        "squares": ((16,), (32,)),
        "steps": (8, 16),
        "threshold": 0.0,
        "nms": 1.0,
        "candidates": 5,
        "together": True,
    }
    backbone = {"kind": "blazenet", "stem": 4, "singles": ((4, 2), (4, 2), (4, 2)), "doubles": (), "out_blocks": (2, 3)}
    model = SSD(validate(SSD.Config, {"backbone": backbone, "neck": {"kind": "none"}, "head": head}), ["face"]).eval()
    pixels = torch.randn(2, 3, 48, 64)
    images = Images(pixels, torch.tensor([[48, 64], [48, 64]]))
    with torch.no_grad():
        logits, _ = model.heads(model.neck(model.backbone(pixels)))
        found = model.detect(images)
    scores = torch.cat([x.permute(0, 2, 3, 1).reshape(2, -1, 2).softmax(-1)[..., 0] for x in logits], 1)
    for image in range(2):
        assert torch.allclose(found[image].scores, scores[image].sort(descending=True).values[:5])
