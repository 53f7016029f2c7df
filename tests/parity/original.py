"""Run the original framework on cases: ``python -m tests.parity.original PATTERN ...``.

In an environment of its own, which docs/parity.md tells how to make. It runs the published config with the changes of
a recording, from the same stand-in weights, images and objects, in double precision. Of a case that is recorded it
prints how far that is from the recording; one that is not it records, from `Setting`'s numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.parity import original_ops, standin
from tests.parity.cases import CASES, matching
from tests.parity.golden import KEPT, Golden, load, path_of, save, thin
from tests.parity.raw import named
from tests.parity.stable import stable_sorting

EVERYTHING = {"num": 1_000_000, "pos_fraction": 0.5, "neg_pos_ub": -1}
RANDOM = ("dropout", "attn_drop", "ffn_drop", "proj_drop", "drop_path_rate")
OWN = Path(__file__).parent / "configs"  # of systems that are not published
MASKS = 8  # whose pixels are recorded, of each image


@dataclass(frozen=True)
class Setting:
    """What a case is recorded with; the fields are those of `Golden`."""

    config: str
    threshold: float | None = None
    gain: float = 1.0
    canvas: tuple[int, int] = (192, 256)
    sizes: tuple[tuple[int, int], ...] = ((192, 256), (160, 224))


def main(arguments: list[str]) -> int:
    names = matching(arguments) if arguments else []
    if not names:
        print(f"no case matches {' '.join(arguments) or 'nothing'}; there are: {', '.join(CASES)}")
        return 2
    original_ops.install()
    import_module("mmdet.utils").register_all_modules(init_default_scope=True)
    for name in names:
        golden = load(name) if path_of(name).exists() else None
        with stable_sorting():
            meta, arrays = record(_recorded_with(golden) if golden else _setting(name))
        if golden:
            print(f"{name}: from the recording {_distances(golden, meta, arrays)}", flush=True)
        else:
            save(path_of(name), meta, arrays)
            print(f"{name}: recorded", flush=True)
    return 0


def record(setting: Setting) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the original computes for a case: the fields of `Golden` and its arrays."""
    config = _config(setting)
    torch.manual_seed(0)
    model = import_module("mmdet.registry").MODELS.build(config.model)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith("data_preprocessor.")}
    model.load_state_dict(standin.weights(shapes, setting.gain), strict=False)
    model.double()
    pixels = standin.images(setting.canvas, setting.sizes).pixels.double()
    # which anchor is whose hangs on the last digit of float32; a matching does not, and wants one type for all
    matched = config.model.get("bbox_head", {}).get("type") == "DETRHead"
    samples = _samples(setting, config.model, torch.float64 if matched else torch.float32)
    if config.model.get("bbox_head", {}).get("type") == "SSDHead":
        model.bbox_head.loss_cls = None  # 3.3.0 asks this head for it, which has none
    if not hasattr(model, "rpn_head"):
        for index, sample in enumerate(samples):
            sample.proposals = _instances(bboxes=standin.proposals(index, *setting.sizes[index]))
    arrays, stats = {}, {}
    with torch.no_grad():
        tensors = list(_evaluation(model.eval(), pixels, samples))
        results = [sample.pred_instances for sample in model.predict(pixels, samples, rescale=False)]
    state = torch.get_rng_state()
    losses = {name: _total(value) for name, value in model.train().loss(pixels, samples).items() if "loss" in name}
    if not torch.equal(state, torch.get_rng_state()):
        arrays["random"] = state.numpy()  # see `tests.parity.drawn`
    torch.stack(list(losses.values())).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    order = list(gradients)
    tensors += [
        (f"grad.{name}", gradients[name]) for name in dict.fromkeys([order[0], order[len(order) // 2], order[-1]])
    ]
    for name, tensor in tensors:
        arrays[name] = thin(tensor)
        sums = {"mean": tensor.mean(), "std": tensor.std(), "absmax": tensor.abs().max()}
        stats[name] = {"shape": list(tensor.shape), **{key: float(value) for key, value in sums.items()}}
    for index, result in enumerate(results):
        arrays |= {f"pred.{index}.{key}": value for key, value in _detections(result).items()}
    squares: dict[str, float] = {}
    for name, gradient in gradients.items():
        part, dot, _ = name.partition(".")
        if not dot:  # a parameter of the model itself, which is no part
            continue
        squares[part] = squares.get(part, 0.0) + float(gradient.square().sum())
    meta = {
        **vars(setting),
        "shapes": shapes,
        "found": [len(result) for result in results],
        "losses": {name: float(value.detach()) for name, value in losses.items()},
        "grad_norms": {part: square**0.5 for part, square in squares.items()},
        "stats": stats,
    }
    return meta, arrays


def _recorded_with(golden: Golden) -> Setting:
    return Setting(golden.config, golden.threshold, golden.gain, golden.canvas, tuple(golden.sizes))


def _setting(name: str) -> Setting:
    """What a case is recorded with for the first time: on a canvas that its network takes."""
    config = _published(name)
    preprocessor = _read(config).model.get("data_preprocessor")
    if (preprocessor or {}).get("pad_size_divisor", 1) > 64:
        return Setting(config, canvas=(256, 256), sizes=((256, 256), (224, 192)))
    return Setting(config)


def _folder() -> Path:
    """The published configs."""
    return Path(str(import_module("mmdet").__file__)).parent / ".mim" / "configs"


def _read(config: str) -> Any:
    """A published config, or one of ours beside this file."""
    own = OWN / config
    return import_module("mmengine.config").Config.fromfile(own if own.exists() else _folder() / config)


def _published(name: str) -> str:
    """The config of a case.

    Raises:
        FileNotFoundError: there is none of this name.
    """
    if (OWN / f"{name}.py").exists():
        return f"{name}.py"
    for path in sorted(_folder().glob(f"*/{name}.py")):
        return str(path.relative_to(_folder()))
    raise FileNotFoundError(f"no config {name}.py in a folder of {_folder()}")


def _config(setting: Setting) -> Any:
    """The published config, changed so that nothing is random and little is kept."""
    config = _read(setting.config)
    for some in _dicts(config.model):
        some.pop("init_cfg", None)
        if some.get("pretrained"):
            some["pretrained"] = None
        if some.get("type") == "SyncBN":
            some["type"] = "BN"
        if isinstance(some.get("sampler"), dict) and some["sampler"].get("type") != "PseudoSampler":
            some["sampler"].update(EVERYTHING)
        if "nms_pre" in some and "max_per_img" in some and "score_thr" not in some:
            some.update(nms_pre=min(some["nms_pre"], 200), max_per_img=min(some["max_per_img"], 60))
        some.update({key: 0.0 for key in RANDOM if key in some})
    test = config.model.get("test_cfg") or {}
    if "rcnn" in test:
        test["rcnn"].update(max_per_img=30, **({} if setting.threshold is None else {"score_thr": setting.threshold}))
    head = config.model.get("bbox_head") or {}
    if head.get("type") == "SSDHead":
        test["score_thr"] = 0.001
    if head.get("type") == "CornerHead":
        head["num_classes"], test["distance_threshold"] = 2, 100
    return config


def _dicts(some: Any) -> Iterator[dict[str, Any]]:
    if isinstance(some, dict):
        yield some
    for value in some.values() if isinstance(some, dict) else some if isinstance(some, list | tuple) else ():
        yield from _dicts(value)


def _classes(model: Any) -> int:
    """Of the heads but the RPN's; 1 where there is none other."""
    found = [some["num_classes"] for some in _dicts(model) if "num_classes" in some and some.get("type") != "RPNHead"]
    return found[0] if found else 1


def _samples(setting: Setting, model: Any, dtype: torch.dtype) -> list[Any]:
    """The stand-in objects, with masks where a head learns them."""
    structures, masks = import_module("mmdet.structures"), import_module("mmdet.structures.mask")
    learned = any("mask_head" in some for some in _dicts(model))
    targets = standin.targets(setting.canvas, setting.sizes, _classes(model), learned)
    samples = []
    for index, size in enumerate(setting.sizes):
        used = targets.valid[index]
        objects = _instances(bboxes=targets.boxes[index][used].to(dtype), labels=targets.labels[index][used])
        if targets.masks is not None:
            ours = targets.masks.dense()[index][used].numpy().astype(np.uint8)
            objects.masks = masks.BitmapMasks(ours, *setting.canvas)
        sample = structures.DetDataSample(gt_instances=objects)
        sample.ignored_instances = _instances(
            bboxes=torch.zeros(0, 4, dtype=dtype), labels=torch.zeros(0, dtype=torch.int64)
        )
        canvas = {"batch_input_shape": setting.canvas, "pad_shape": setting.canvas}
        sample.set_metainfo(
            {**canvas, "img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "img_id": index}
        )
        samples.append(sample)
    return samples


def _instances(**fields: Any) -> Any:
    return import_module("mmengine.structures").InstanceData(**fields)


def _evaluation(model: Any, pixels: Tensor, samples: list[Any]) -> Iterator[tuple[str, Tensor]]:
    features = model.backbone(pixels)
    yield from named("backbone", features)
    if model.with_neck:
        yield from named("neck", model.neck(features))
    yield from named("raw", model._forward(pixels, samples))


def _detections(result: Any) -> dict[str, np.ndarray]:
    found = {
        "boxes": result.bboxes[:KEPT].numpy(),
        "scores": result.scores[:KEPT].numpy(),
        "labels": result.labels[:KEPT].numpy(),
    }
    if "masks" in result:
        pixels = result.masks[:MASKS].numpy().astype(bool)
        found |= {"masks": np.packbits(pixels), "masks_shape": np.array(pixels.shape)}
    return found


def _total(losses: Any) -> Tensor:
    """A loss, or the sum over levels of one."""
    return losses.mean() if isinstance(losses, Tensor) else torch.stack([one.mean() for one in losses]).sum()


def _distances(golden: Golden, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """The largest difference of each kind of number from those of the recording."""
    furthest: dict[str, float] = {}
    for name, recorded in golden.arrays.items():
        kind = name.partition(".")[0]
        same = name in arrays and arrays[name].shape == recorded.shape
        apart = np.abs(arrays[name].astype(float) - recorded).max(initial=0.0) if same else np.inf
        furthest[kind] = max(
            furthest.get(kind, 0.0), float(apart) / max(float(np.abs(recorded).max(initial=0.0)), 1e-12)
        )
    furthest["losses"] = max(abs(meta["losses"][key] / value - 1) for key, value in golden.losses.items())
    return ", ".join(f"{kind} {apart:.1e}" for kind, apart in furthest.items())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
