"""Checkpoints as MMDetection saves them, of every method: imported from the file alone, and converted."""

from __future__ import annotations

import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import detzoo
from detzoo import cli
from detzoo.detector import Detector
from detzoo.interop.mmdet.configs import read_file
from detzoo.interop.mmdet.importer import METHODS, UnnamedClasses
from detzoo.interop.renaming import rename
from tests.mmdet_files import write_all

# a config of each method
FILES = (
    *("faster.py", "mask.py", "fast.py", "rpn.py", "retina.py", "cascade.py", "cascade_mask.py"),
    *("htc.py", "scnet.py", "mask_scoring.py", "grid.py", "point_rend.py", "trident.py"),
    *("guided_faster.py", "guided_retina.py", "cascade_rpn.py"),
    *("reppoints.py", "vfnet.py", "sabl_retina.py", "fovea.py", "fsaf.py"),
    *("paa.py", "yolact.py", "auto_assign.py", "yolof.py", "ld.py"),
    *("fcos.py", "atss.py", "gfl.py", "ssd.py", "yolo.py", "corner.py", "detr.py", "detr_2.py", "detr_oldest_2.py"),
    *("deformable_detr.py", "deformable_detr_2.py", "sparse.py", "centripetal.py", "nas_fcos.py"),
)
CLASSES = ("cat", "dog", "owl")

# our names -> MMDetection's: the reverse of what a method's `published_names` say
TWO_STAGE = (
    (r"^rpn\.", "rpn_head.rpn_"),
    (r"^box_heads?\.", "roi_head.bbox_head."),
    (r"^mask_head\.downsample\.", "roi_head.mask_head.downsample_conv.conv."),
    (r"^mask_heads?\.", "roi_head.mask_head."),
    (r"^point_head\.fcs\.(\d+)\.", r"roi_head.point_head.fcs.\1.conv."),
    (r"^(mask_iou|grid|point)_head\.", r"roi_head.\1_head."),
    (r"^mask_flows\.(\d+)\.", r"roi_head.mask_head.\1.conv_res."),
    (r"^semantic_head\.", "roi_head.semantic_head."),
    (r"^context_head\.", "roi_head.glbctx_head."),
    (r"^relay\.", "roi_head.feat_relay_head.fc."),
)
DISTRIBUTIONS = (
    (r"^head\.(cls|reg)\.", r"bbox_head.gfl_\1."),
    (r"^head\.scales\.(\d+)$", r"bbox_head.scales.\1.scale"),
    (r"^head\.", "bbox_head."),
)
DETR_HEAD = (
    (r"^(cls|reg)\.", r"bbox_head.fc_\1."),
    (r"^reg_ffn\.", "bbox_head.reg_ffn."),
    (r"^queries\.", "bbox_head.query_embedding."),
    (r"^neck\.convs\.0\.conv\.", "bbox_head.input_proj."),
)
# of a method, or of a file whose version has other names
PUBLISHED: dict[str, tuple[tuple[str, str], ...]] = {
    "RetinaNet": ((r"^(cls|reg)\.", r"bbox_head.retina_\1."), (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs.")),
    "GARetinaNet": (
        (r"^(cls|reg)\.", r"bbox_head.retina_\1."),
        (r"^guide\.", "bbox_head."),
        (r"^(cls_convs|reg_convs|feature_adaption_\w+)\.", r"bbox_head.\1."),
    ),
    "guided_faster.py": (
        (r"^rpn\.conv\.", "rpn_head.rpn_conv."),
        (r"^rpn\.(?:guide\.)?", "rpn_head."),
        *TWO_STAGE,
    ),
    "cascade_rpn.py": (
        (r"^rpn\.first_conv\.", "rpn_head.stages.0.rpn_conv.conv."),
        (r"^rpn\.conv\.", "rpn_head.stages.1.rpn_conv.conv."),
        (r"^rpn\.first_", "rpn_head.stages.0.rpn_"),
        (r"^rpn\.", "rpn_head.stages.1.rpn_"),
        *TWO_STAGE,
    ),
    "FCOS": (
        (r"^(cls|reg|centerness)\.", r"bbox_head.conv_\1."),
        (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs."),
        (r"^scales\.(\d+)$", r"bbox_head.scales.\1.scale"),
    ),
    "ATSS": (
        (r"^(cls|reg|centerness)\.", r"bbox_head.atss_\1."),
        (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs."),
        (r"^scales\.(\d+)$", r"bbox_head.scales.\1.scale"),
    ),
    "GFL": DISTRIBUTIONS,
    "LD": DISTRIBUTIONS,
    "FoveaBox": (
        (r"^(cls_convs|reg_convs|feature_adaption)\.", r"bbox_head.\1."),
        (r"^(cls|reg)\.", r"bbox_head.conv_\1."),
    ),
    "FSAF": ((r"^(cls|reg)\.", r"bbox_head.retina_\1."), (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs.")),
    "VFNet": (
        (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs."),
        (r"^(scales\w*)\.(\d+)$", r"bbox_head.\1.\2.scale"),
        (r"^((?:cls|reg)\w*)\.", r"bbox_head.vfnet_\1."),
    ),
    "RepPoints": (
        (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs."),
        (r"^moment$", "bbox_head.moment_transfer"),
        (r"^cls\.", "bbox_head.reppoints_cls_out."),
        (r"^cls_conv\.", "bbox_head.reppoints_cls_conv."),
        (r"^first\.", "bbox_head.reppoints_pts_init_out."),
        (r"^first_conv\.", "bbox_head.reppoints_pts_init_conv."),
        (r"^reg\.", "bbox_head.reppoints_pts_refine_out."),
        (r"^reg_conv\.", "bbox_head.reppoints_pts_refine_conv."),
    ),
    "SABLRetinaNet": (
        (r"^(cls|bbox_cls|bbox_reg)\.", r"bbox_head.retina_\1."),
        (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs."),
    ),
    "PAA": (
        (r"^(cls|reg)\.", r"bbox_head.atss_\1."),
        (r"^iou\.", "bbox_head.atss_centerness."),
        (r"^(cls|reg)_convs\.", r"bbox_head.\1_convs."),
        (r"^scales\.(\d+)$", r"bbox_head.scales.\1.scale"),
    ),
    "AutoAssign": (
        (r"^(cls_convs|reg_convs|center_prior)\.", r"bbox_head.\1."),
        (r"^(cls|reg)\.", r"bbox_head.conv_\1."),
        (r"^object\.", "bbox_head.conv_centerness."),
        (r"^scales\.(\d+)$", r"bbox_head.scales.\1.scale"),
    ),
    "YOLOF": (
        (r"^cls_convs\.", "bbox_head.cls_subnet."),
        (r"^reg_convs\.", "bbox_head.bbox_subnet."),
        (r"^cls\.", "bbox_head.cls_score."),
        (r"^reg\.", "bbox_head.bbox_pred."),
        (r"^object\.", "bbox_head.object_pred."),
    ),
    "DETR": (
        (r"^(cls|reg)\.", r"bbox_head.fc_\1."),
        (r"^reg_ffn\.", "bbox_head.reg_ffn."),
        (r"^queries\.", "query_embedding."),
        (r"\.(self_attn|cross_attn)\.", r".\1.attn."),
    ),
    "DeformableDETR": (
        (r"^(cls|reg)\.", r"bbox_head.\1_branches."),
        (r"^queries\.", "query_embedding."),
        (r"^(decoder\.layers\.\d+\.self_attn)\.", r"\1.attn."),
    ),
    "deformable_detr_2.py": (
        (r"^(cls|reg)\.", r"bbox_head.\1_branches."),
        (r"^decoder\.(layers\.\d+)\.self_attn\.", r"bbox_head.transformer.decoder.\1.attentions.0.attn."),
        (r"^decoder\.(layers\.\d+)\.cross_attn\.", r"bbox_head.transformer.decoder.\1.attentions.1."),
        (r"^encoder\.(layers\.\d+)\.self_attn\.", r"bbox_head.transformer.encoder.\1.attentions.0."),
        (r"^(\w+\.layers\.\d+)\.ffn\.", r"bbox_head.transformer.\1.ffns.0."),
        (r"^memory_trans_fc\.", "bbox_head.transformer.enc_output."),
        (r"^memory_trans_norm\.", "bbox_head.transformer.enc_output_norm."),
        (r"^pos_trans_fc\.", "bbox_head.transformer.pos_trans."),
        (r"^pos_trans_norm\.", "bbox_head.transformer.pos_trans_norm."),
        (r"^level_embed$", "bbox_head.transformer.level_embeds"),
        (r"^(encoder|decoder)\.", r"bbox_head.transformer.\1."),
    ),
    "detr_2.py": (
        *DETR_HEAD,
        (r"^(\w+\.layers\.\d+)\.self_attn\.", r"bbox_head.transformer.\1.attentions.0.attn."),
        (r"^(\w+\.layers\.\d+)\.cross_attn\.", r"bbox_head.transformer.\1.attentions.1.attn."),
        (r"^(\w+\.layers\.\d+)\.ffn\.", r"bbox_head.transformer.\1.ffns.0."),
        (r"^(encoder|decoder)\.", r"bbox_head.transformer.\1."),
    ),
    "detr_oldest_2.py": (
        *DETR_HEAD,
        (r"^(\w+\.layers\.\d+)\.self_attn\.", r"bbox_head.transformer.\1.self_attn.attn."),
        (r"^(\w+\.layers\.\d+)\.cross_attn\.", r"bbox_head.transformer.\1.multihead_attn.attn."),
        (r"^decoder\.post_norm\.", "bbox_head.transformer.decoder.norm."),
        (r"^(encoder|decoder)\.", r"bbox_head.transformer.\1."),
    ),
    "SparseRCNN": (
        (r"^boxes\.", "rpn_head.init_proposal_bboxes."),
        (r"^features\.", "rpn_head.init_proposal_features."),
        (r"^stages\.(\d+)\.attention\.", r"roi_head.bbox_head.\1.attention.attn."),
        (r"^stages\.", "roi_head.bbox_head."),
    ),
    "SSD": ((r"^(cls|reg)\.(\d+)\.", r"bbox_head.\1_convs.\2.0."),),
    "YOLACT": (
        (r"^head_convs\.", "bbox_head.head_convs."),
        (r"^coefficients\.", "bbox_head.conv_coeff."),
        (r"^(cls|reg)\.", r"bbox_head.conv_\1."),
        (r"^mask_head\.segm_conv\.", "mask_head.segm_branch.segm_conv."),
    ),
    "YOLOv3": ((r"^bridges\.", "bbox_head.convs_bridge."), (r"^outputs\.", "bbox_head.convs_pred.")),
    "CentripetalNet": (
        (r"^top_left\.(\d+)\.adaption\.conv_offset\.", r"bbox_head.tl_dcn_offset.\1.conv."),
        (r"^top_left\.(\d+)\.adaption\.conv_adaption\.", r"bbox_head.tl_feat_adaption.\1."),
        (r"^top_left\.(\d+)\.(\w+)\.", r"bbox_head.tl_\2.\1."),
        (r"^bottom_right\.(\d+)\.adaption\.conv_offset\.", r"bbox_head.br_dcn_offset.\1.conv."),
        (r"^bottom_right\.(\d+)\.adaption\.conv_adaption\.", r"bbox_head.br_feat_adaption.\1."),
        (r"^bottom_right\.(\d+)\.(\w+)\.", r"bbox_head.br_\2.\1."),
    ),
    "CornerNet": (
        (r"^top_left\.(\d+)\.(\w+)\.", r"bbox_head.tl_\2.\1."),
        (r"^bottom_right\.(\d+)\.(\w+)\.", r"bbox_head.br_\2.\1."),
    ),
}

# settings of the configs, and what makes the models small
SMALLER: dict[tuple[str, Any], Any] = {
    ("depth", 50): 18,
    ("num_classes", 80): len(CLASSES),
    ("in_channels", (256, 512, 1024, 2048)): (64, 128, 256, 512),
    **{
        (name, 256): 32
        for name in (
            "in_channels",
            "out_channels",
            "feat_channels",
            "point_feat_channels",
            "conv_out_channels",
            "embed_dims",
            "proposal_feature_channel",
        )
    },
    ("out_conv_channels", 256): 32,
    ("fc_out_channels", 1024): 32,
    ("in_channels", 1024): 32,
    ("in_channels", 2048): 512,
    ("in_channels", (2048,)): (512,),
    ("in_channels", (512, 1024, 2048)): (128, 256, 512),
    ("num_feats", 128): 16,
    **{(name, 6): 2 for name in ("num_layers", "num_encoder_layers", "num_decoder_layers")},
    ("in_channels", (512, 256, 128)): (32, 32, 32),
    ("out_channels", (512, 256, 128)): (32, 32, 32),
    ("out_channels", (1024, 512, 256)): (64, 64, 64),
    ("stage_channels", (256, 256, 384, 384, 384, 512)): (32, 32, 32),
    ("stage_blocks", (2, 2, 2, 2, 2, 4)): (1, 1, 1),
    ("downsample_times", 5): 2,
}


# its backbone has no small depths
SMALLER_OF = {"trident.py": {("num_classes", 80): len(CLASSES)}}


def small(values: Any, changes: Mapping[tuple[str, Any], Any] = SMALLER) -> Any:
    """A config with such settings."""
    if isinstance(values, dict):
        if values.get("type") == "ResNeXt":  # has no small depths
            rest = {name: value for name, value in values.items() if name not in ("groups", "base_width")}
            values = rest | {"type": "ResNet", "depth": 50}
        made = {}
        for name, value in values.items():
            key = (name, tuple(value) if isinstance(value, list | tuple) else value)
            known = not isinstance(value, dict) and not any(isinstance(one, list | dict) for one in _items(value))
            made[name] = changes[key] if known and key in changes else small(value, changes)
        if values.get("type") == "HourglassNet":
            made["feat_channel"] = 32
        return made
    return [small(one, changes) for one in values] if isinstance(values, list) else values


def _items(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else ()


def published(detector: Detector, file: str) -> dict[str, Tensor]:
    """Its weights under MMDetection's names."""
    table = PUBLISHED.get(file, PUBLISHED.get(type(detector).__name__, TWO_STAGE))
    return {rename(name, table): value for name, value in detector.state_dict().items()}


def equal(a: Detector, b: Detector) -> bool:
    """The same method, settings and weights."""
    ours, theirs = a.state_dict(), b.state_dict()
    return (
        type(a) is type(b)
        and a.config == b.config
        and ours.keys() == theirs.keys()
        and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    )


def test_each_method_has_a_checkpoint(tmp_path: Path) -> None:
    write_all(tmp_path)
    assert {read_file(tmp_path / file)["model"]["type"] for file in FILES} == set(METHODS)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("file", FILES)
def test_a_checkpoint_is_imported_and_converted(
    tmp_path: Path, framework: types.SimpleNamespace, file: str, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write_all(tmp_path)
    values = small(read_file(tmp_path / file), SMALLER_OF.get(file, SMALLER))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnnamedClasses)  # the checkpoint names them
        source = detzoo.from_mmdet(values)
    text = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    meta: dict[str, Any] = {"epoch": 12, "iter": 100, "CLASSES": CLASSES, "mmdet_version": "2.28.2", "config": text}
    content: dict[str, Any] = {"meta": meta, "state_dict": published(source, file)}
    content["optimizer"] = {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    if version == 3:
        content["meta"] = {"epoch": 12, "dataset_meta": {"classes": CLASSES, "palette": [(1, 2, 3)]}, "cfg": text}
        content["message_hub"] = {"log_scalars": {"train/loss": framework.HistoryBuffer()}, "resumed_keys": {}}
        content["param_schedulers"] = [{"last_step": 3}]
    path = tmp_path / "epoch_12.pth"
    torch.save(content, path)
    detector = detzoo.from_mmdet(path)
    assert detector.classes == (CLASSES if detector.finds_classes else ("object",))
    assert not detector.training
    assert equal(detector, source)
    out = tmp_path / "model.safetensors"
    assert cli.main(["convert", str(path), "--out", str(out)]) == 0
    assert f"classes: {', '.join(detector.classes)}\n" in capsys.readouterr().out
    assert equal(detzoo.load(out), source)


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    write_all(tmp_path)
    values = small(read_file(tmp_path / "retina.py"), SMALLER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnnamedClasses)
        source = detzoo.from_mmdet(values)
        weights = published(source, "retina.py")
        weights["backbone.conv1.weight"] = weights["backbone.conv1.weight"] / 0
        with pytest.warns(UserWarning, match=r"given weights: backbone\.conv1\.weight hold NaN or infinite"):
            detzoo.from_mmdet(values, weights)
