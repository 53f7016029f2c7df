"""Names of pycls's RegNets, as their authors published them, in ours."""

from __future__ import annotations

import re

_BLOCK = re.compile(r"s(\d+)\.b(\d+)\.(f\.[abc]|f\.[abc]_bn|proj|bn)\.(\w+)")
_PARTS = {
    "f.a": "conv1",
    "f.a_bn": "bn1",
    "f.b": "conv2",
    "f.b_bn": "bn2",
    "f.c": "conv3",
    "f.c_bn": "bn3",
    "proj": "downsample.0",
    "bn": "downsample.1",
}
_OTHERS = {"stem.conv.": "conv1.", "stem.bn.": "bn1.", "head.fc.": "fc."}


def usual_name(name: str) -> str:
    """What a parameter of a pycls RegNet is called here: ``s1.b2.f.a.weight`` is ``layer1.1.conv1.weight``.

    Any other name stays.
    """
    if found := _BLOCK.fullmatch(name):
        stage, block, part, tensor = found.groups()
        return f"layer{stage}.{int(block) - 1}.{_PARTS[part]}.{tensor}"
    for theirs, ours in _OTHERS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name
