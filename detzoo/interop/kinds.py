"""What a config calls a class, of the many spellings of its name."""

from __future__ import annotations

PACKAGES = ("mmdet", "mmcv", "mmengine", "torch", "torchvision")
# configs know these classes by a shorter name
_SHORTER = {
    "BatchNorm2d": "BN",
    "SyncBatchNorm": "SyncBN",
    "GroupNorm": "GN",
    "LayerNorm": "LN",
    "DeformConv2dPack": "DCN",
    "ModulatedDeformConv2dPack": "DCNv2",
}


def kind_name(name: str) -> str:
    """The name of a class without its package: ``mmdet.models.RetinaNet`` and ``mmdet.RetinaNet`` are ``RetinaNet``.

    A name of a package that is not MMDetection's or PyTorch's stays: its class may be another of the same name.
    """
    package, dot, rest = name.partition(".")
    if not dot or package not in PACKAGES:
        return name
    last = rest.rpartition(".")[2]
    return _SHORTER.get(last, last)


__all__ = ["PACKAGES", "kind_name"]
