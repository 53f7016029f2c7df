"""A config of MMDetection 3 in the spelling of MMDetection 2: the same model, data and schedule by older names."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

Values = dict[str, Any]

# of wrappers around data sets: where the inner ones are
_INNER = ("dataset", "datasets")


def respelled(values: Values, beside: bool = False) -> Values:
    """The config in version 2.

    Args:
        values: a merged config of version 3.
        beside: as before 2.6: ``train_cfg`` and ``test_cfg`` beside the model, suppression under its oldest names, and
            ``pretrained`` in place of ``init_cfg``.
    """
    model = deepcopy(values["model"])
    pixels = model.pop("data_preprocessor")
    size = pixels.get("pad_size_divisor", 1)
    finish = [
        {
            "type": "Normalize",
            **{name: pixels[name] for name in ("mean", "std")},
            "to_rgb": pixels.get("bgr_to_rgb", False),
        },
        *([{"type": "Pad", "size_divisor": size}] if size > 1 else []),
    ]
    if model["type"] in ("DETR", "DeformableDETR"):
        _detr(model, deformable=model["type"] == "DeformableDETR")
    made: Values = {"model": model, "data": _data(values, finish), **_schedule(values)}
    first = made["data"].get("train", {})
    while inner := next((first[name] for name in _INNER if name in first), None):
        first = inner[0] if isinstance(inner, list) else inner
    made |= {"dataset_type": first.get("type"), "data_root": values.get("data_root")}
    if beside:
        for name in ("train_cfg", "test_cfg"):
            made[name] = _oldest(model.pop(name, None))
        if "checkpoint" in (start := model.get("backbone", {}).get("init_cfg") or {}):
            model["pretrained"] = start["checkpoint"]
            del model["backbone"]["init_cfg"]
    return made


def _detr(model: Values, deformable: bool) -> None:
    """The transformer and the convolution before it in the head, and each cost by its name."""
    head = model["bbox_head"]
    if deformable:
        head |= {name: model.pop(name) for name in ("with_box_refine", "as_two_stage") if name in model}
    else:
        del head["embed_dims"]
        head["in_channels"] = model.pop("neck")["in_channels"][0]
    head["num_query"] = model.pop("num_queries")
    head["positional_encoding"] = {"type": "SinePositionalEncoding", **model.pop("positional_encoding")}
    head["transformer"] = {"type": "DeformableDetrTransformer" if deformable else "Transformer"}
    if "num_feature_levels" in model:
        head["transformer"]["num_feature_levels"] = model.pop("num_feature_levels")
    for part in ("encoder", "decoder"):
        given = model.pop(part)
        layer = given.pop("layer_cfg")
        names = [name for name in ("self_attn", "cross_attn") if f"{name}_cfg" in layer]
        attentions = [{"type": "MultiheadAttention", **layer[f"{name}_cfg"]} for name in names]
        if deformable:
            attentions[-1]["type"] = "MultiScaleDeformableAttention"
        for attention in attentions:
            attention.pop("batch_first", None)
        inner = {
            "type": "BaseTransformerLayer",
            "attn_cfgs": attentions,
            "ffn_cfgs": {"type": "FFN", **layer["ffn_cfg"]},
            "operation_order": [*(step for name in names for step in (name, "norm")), "ffn", "norm"],
        }
        kind = f"{'Deformable' if deformable and part == 'decoder' else ''}DetrTransformer{part.title()}"
        head["transformer"][part] = {"type": kind, "transformerlayers": inner, **given}
    if model.get("train_cfg"):
        assigner = model["train_cfg"]["assigner"]
        names = {
            "ClassificationCost": "cls_cost",
            "FocalLossCost": "cls_cost",
            "BBoxL1Cost": "reg_cost",
            "IoUCost": "iou_cost",
        }
        assigner |= {names[cost["type"]]: cost for cost in assigner.pop("match_costs")}


def _oldest(given: Any) -> Any:
    """``nms=dict(iou_thr=...)``, and of proposals ``nms_thr`` and ``max_num``."""
    if not isinstance(given, dict):
        return given
    made = {name: _oldest(value) for name, value in given.items()}
    overlap = made.get("nms")
    if isinstance(overlap, dict) and overlap.get("type") == "nms":
        if "score_thr" in made:
            made["nms"] = {"type": "nms", "iou_thr": overlap["iou_threshold"]}
        else:
            del made["nms"]
            count = made.pop("max_per_img")
            made |= {"nms_thr": overlap["iou_threshold"], "max_num": count, "nms_post": count}
            made["nms_across_levels"] = False
    return made


def _data(values: Values, finish: list[Values]) -> Values:
    made: Values = {}
    for split in ("train", "val", "test"):
        loader = values.get(f"{split}_dataloader")
        if loader:
            made[split] = _dataset(loader["dataset"], finish)
    loader = values.get("train_dataloader", {})
    return {"samples_per_gpu": loader.get("batch_size", 2), "workers_per_gpu": loader.get("num_workers", 2), **made}


def _dataset(given: Values, finish: list[Values]) -> Values:
    for inner in _INNER:
        if inner in given:
            one = given[inner]
            new = [_dataset(each, finish) for each in one] if isinstance(one, list) else _dataset(one, finish)
            rest = {name: value for name, value in given.items() if name != "pipeline"}
            if "pipeline" in given:  # that of all in it
                for leaf in new if isinstance(new, list) else [new]:
                    leaf["pipeline"] = _pipeline(given["pipeline"], finish, test=False)
            return {**rest, inner: new}
    root = given.get("data_root") or ""
    prefix = given.get("data_prefix", {})
    made: Values = {
        "type": given["type"],
        "ann_file": root + given["ann_file"],
        "img_prefix": root + next(iter(prefix.values()), ""),
        "seg_prefix": root + prefix["seg"] if "seg" in prefix else None,
        "test_mode": given.get("test_mode", False),
    }
    if "filter_cfg" in given:
        made["filter_empty_gt"] = given["filter_cfg"].get("filter_empty_gt", False)
        if "bbox_min_size" in given["filter_cfg"]:
            made["min_size"] = given["filter_cfg"]["bbox_min_size"]
    if "classes" in given.get("metainfo", {}):
        made["classes"] = given["metainfo"]["classes"]
    if "proposal_file" in given:
        made["proposal_file"] = root + given["proposal_file"]
    if "pipeline" in given:
        made["pipeline"] = _pipeline(given["pipeline"], finish, given.get("test_mode", False))
    return made


def _pipeline(steps: list[Values], finish: list[Values], test: bool) -> list[Values]:
    flat = [one for step in steps for one in (step["transforms"] if step["type"] == "ProposalBroadcaster" else [step])]
    before = [step for step in flat if step["type"] in ("LoadImageFromFile", "LoadProposals")]
    rest = [step for step in flat if step["type"] not in ("LoadImageFromFile", "LoadProposals", "PackDetInputs")]
    if not test:
        last = [{"type": "DefaultFormatBundle"}, {"type": "Collect", "keys": ["img", "gt_bboxes", "gt_labels"]}]
        thinned = [{"type": "SegRescale", "scale_factor": 1 / 8}] if any(step.get("with_seg") for step in rest) else []
        return [*before, *map(_step, rest), *finish, *thinned, *last]
    inner: list[Values] = []
    size: Values = {"scale_factor": 1.0}
    for step in rest:
        if step["type"] == "Resize":
            old = _step(step)
            if "img_scale" in old:
                size = {"img_scale": old.pop("img_scale")}
            inner.append(old)
        elif step["type"] != "LoadAnnotations":
            inner.append(step)
    inner += [{"type": "RandomFlip"}, *finish]
    inner += [{"type": "ImageToTensor", "keys": ["img"]}, {"type": "Collect", "keys": ["img"]}]
    return [*before, {"type": "MultiScaleFlipAug", **size, "flip": False, "transforms": inner}]


def _step(given: Values) -> Values:
    """A step that has another name or other settings in version 2."""
    step = dict(given)
    kind = step["type"]
    if kind == "RandomFlip":
        return {"type": kind, "flip_ratio": step.get("prob", 0.5)}
    if kind == "Resize" and "scale" in step:
        step["img_scale"] = step.pop("scale")
        step.setdefault("keep_ratio", False)
    elif kind == "RandomChoice":
        return {"type": "AutoAugment", "policies": [[_step(one) for one in option] for option in step["transforms"]]}
    elif kind in ("RandomResize", "RandomChoiceResize"):
        scales = step["scale" if kind == "RandomResize" else "scales"]
        mode = "range" if kind == "RandomResize" else "value"
        return {
            "type": "Resize",
            "img_scale": list(scales),
            "multiscale_mode": mode,
            "keep_ratio": step.get("keep_ratio", False),
        }
    return step


def _schedule(values: Values) -> Values:
    wrapper = values["optim_wrapper"]
    optimizer = dict(wrapper["optimizer"])
    if "paramwise_cfg" in wrapper:
        optimizer["paramwise_cfg"] = wrapper["paramwise_cfg"]
    rate: Values = {"policy": "step", "step": []}
    for one in values["param_scheduler"]:
        if one["type"] in ("LinearLR", "ConstantLR"):
            start = one.get("start_factor", one.get("factor"))
            kind = "linear" if one["type"] == "LinearLR" else "constant"
            rate |= {"warmup": kind, "warmup_iters": one["end"], "warmup_ratio": start}
        elif one["type"] == "CosineAnnealingLR":
            rate |= {"policy": "CosineAnnealing", "min_lr": one.get("eta_min", 0.0)}
            del rate["step"]
        else:
            rate |= {"step": one["milestones"], "gamma": one.get("gamma", 0.1)}
    made: Values = {
        "optimizer": optimizer,
        "optimizer_config": {"grad_clip": wrapper.get("clip_grad")},
        "lr_config": rate,
        "runner": {"type": "EpochBasedRunner", "max_epochs": values["train_cfg"]["max_epochs"]},
        "evaluation": {"interval": values["train_cfg"].get("val_interval", 1), "metric": "bbox"},
    }
    if wrapper["type"] == "AmpOptimWrapper":
        made["fp16"] = {"loss_scale": 512.0}
    if "auto_scale_lr" in values:
        made["auto_scale_lr"] = values["auto_scale_lr"]
    return made


__all__ = ["respelled"]
