"""Weights files that are made to hang, to take all memory, or to end in some other error than ours."""

from __future__ import annotations

import json
import os
import random
import struct
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import detzoo
from detzoo.cli import main
from detzoo.config import ConfigError
from detzoo.pickles.files import read, state_dict
from detzoo.pickles.machine import CheckpointError
from tests.hostile_files import archive, call, crowded, get, group, named, outcomes, put, storage, tensor, text, whole
from tests.test_files import small

COLLIDE = 2**61 - 1  # hash(k * COLLIDE) == 0
NUMBERS = b"".join(whole(k * COLLIDE) + b"N" for k in range(60_000))
MEGABYTE = text("x" * 1_000_000) + put(0) + b"0"
VIEW = named("torch._utils", "_rebuild_tensor_v2") + put(1) + b"0"
VIEWED = group(storage(), whole(0), group(whole(4)), group(whole(1)), b"\x89", b"}") + put(2) + b"0"
SCALAR = named("numpy.core.multiarray", "scalar")
NESTED = b"]q\x00" + b"".join(b"0](h%ch%ceq%c" % (depth, depth, depth + 1) for depth in range(60))
SAME = text("k" * 900_000) + put(0) + b"0" + text("k" * 900_000) + put(1) + b"0"
LONG = b"\x8b" + struct.pack("<i", 8_000_000) + b"\x7f" * 8_000_000 + put(0) + b"0"
ONES = b"(" + b"K\x01" * 100_000 + b"l" + put(3) + b"0"
ITEMS = b"}(" + b"".join(whole(k) + b"N" for k in range(100_000)) + b"u" + put(5) + b"0"
LETTER = call(named("numpy", "dtype"), text("U1"), whole(0), whole(1)) + put(0) + b"0"
PICKLES: dict[str, bytes] = {
    "keys of one hash": b"}(" + NUMBERS + b"u.",
    "a set of one hash": call(named("builtins", "set"), b"](" + NUMBERS.replace(b"N", b"") + b"e") + b".",
    "places in memory of one hash": b"N" + b"".join(b"p%d\n" % (k * COLLIDE) for k in range(60_000)) + b".",
    "a long tuple as a key": group(b"K\x01" * 300_000) + put(0) + b"0}(" + (get(0) + b"N") * 150_000 + b"u.",
    "many tuples as keys": b"}(" + b"".join(group(whole(k), whole(k << 40)) + b"N" for k in range(60_000)) + b"u.",
    "a long number as a key": LONG + b"}(" + (get(0) + b"N") * 150_000 + b"u.",
    "two long texts as keys": SAME + b"}(" + (get(0) + b"N" + get(1) + b"N") * 100_000 + b"u.",
    "a device of long texts": MEGABYTE + call(named("torch", "device"), *[get(0)] * 12_000) + b".",
    "a tuple of long texts as a name": MEGABYTE + b"}" + group(*[get(0)] * 50_000) + tensor() + b"s.",
    "a name without an end": NESTED + b"0" + text("m") + b"h\x3c\x93.",
    "names of long texts": MEGABYTE + (get(0) + get(0) + b"\x930") * 100_000 + b"N.",
    "a million operations": b"N0" * 600_000 + b"N.",
    "deep tuples": b"N" + b"\x85" * 900_000 + b".",
    "deep lists": b"]" * 450_000 + b"a" * 449_999 + b".",
    "many lists": b"(" + b"]" * 900_000 + b"l.",
    "many tensors": VIEW + VIEWED + b"(" + (get(1) + get(2) + b"R") * 300_000 + b"l.",
    "many names": tensor() + put(1) + b"0}(" + b"".join(text(f"c{k}") + get(1) for k in range(200_000)) + b"u.",
    "copies of a dict": ITEMS + (call(named("collections", "OrderedDict"), get(5)) + b"0") * 1000 + b"N.",
    "a shape of a long list": ONES + (call(named("torch", "Size"), get(3)) + b"0") * 1000 + b"N.",
    "a letter that is none": LETTER + call(SCALAR, get(0), b"C\x04\xff\xff\xff\xff") + b".",
    "a long number as a name": b"}" + whole((1 << 60_000) - 1) + tensor() + b"s.",
}


def described(folder: Path, name: str, **metadata: Any) -> Path:
    """Our file with another description: ``model`` of the recipe by dotted names, or metadata as it is."""
    good = folder / "good.safetensors"
    if not good.exists():
        small().save(good)
    data = good.read_bytes()
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    recipe = json.loads(head["__metadata__"]["recipe"])
    for place, value in metadata.pop("model", {}).items():
        holder = recipe["model"]
        *parents, leaf = place.split(".")
        for parent in parents:
            holder = holder[parent]
        holder[leaf] = value
    head["__metadata__"].update({"recipe": json.dumps(recipe), **metadata})
    made = json.dumps(head).encode()
    path = folder / f"{name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(made)) + made + data[8 + length :])
    return path


def described_too_much(folder: Path) -> list[Path]:
    settings = {
        "neck.out_channels": (10**9, 10**30, 20_000),
        "neck.levels": (5000, 10**9),
        "neck.start": (10**9,),
        "head.convs": (10**9, 60_000),
        "head.channels": (10**6,),
        "backbone.out_stages": ([1] * 10**6, [1, 2, 3, 10**9]),
        "backbone.groups": (10**9,),
        "head.anchors.scales": ([1.0] * 10**6, [1.0] * 900),
    }
    stages = {"name": "a", "model": {"method": "cascade_rcnn", "stages": [{}] * 300_000}}
    odd = {
        "stages": {"recipe": json.dumps(stages)},
        "many classes": {"classes": json.dumps([f"c{k}" for k in range(10**6)])},
        "60000 classes": {"classes": json.dumps([f"c{k}" for k in range(60_000)])},
        "deep classes": {"classes": "[" * 200_000},
        "deep recipe": {"recipe": '{"name":' * 100_000},
        "a long number": {"recipe": '{"name":"a","schedule":{"seed":' + "9" * 5000 + "}}"},
        "no number": {"recipe": '{"name":"a","schedule":{"lr":1e999}}'},
        "a long name": {"recipe": json.dumps({"name": "a", "x" * 10**6: 1})},
        "half a letter": {"classes": '["\\ud800", "b"]'},
        "no classes": {"classes": "[]"},
        "classes of what is no text": {"classes": '[{"a":1},[]]'},
        "classes of numbers": {"classes": "[1,1e400]"},
        "a class twice": {"classes": '["a","a"]'},
        "one text": {"classes": '"ab"'},
        "a path": {"recipe": '{"name":"../../x"}'},
    }
    paths = [
        described(folder, f"{place} {number}", model={place: value})
        for place, values in settings.items()
        for number, value in enumerate(values)
    ]
    return paths + [described(folder, name, **metadata) for name, metadata in odd.items()]


def without_end(folder: Path, suffix: str) -> list[Path]:
    """A file of a terabyte of nothing, a linked device, and a pipe that nobody writes to."""
    sparse, linked, pipe = (folder / f"{name}{suffix}" for name in ("sparse", "linked", "pipe"))
    with sparse.open("wb") as file:
        file.truncate(1 << 40)
    linked.symlink_to("/dev/zero")
    os.mkfifo(pipe)
    return [sparse, linked, pipe]


def test_files_that_cost_time_or_memory(tmp_path: Path) -> None:
    """All in one process, for it takes a while to begin."""
    paths = [
        *(archive(tmp_path / f"{name}.pth", content) for name, content in PICKLES.items()),
        crowded(tmp_path / "crowded.pth", 100_000),
        *described_too_much(tmp_path),
        *(path for suffix in (".pth", ".safetensors", ".json") for path in without_end(tmp_path, suffix)),
    ]
    for path, outcome in zip(paths, outcomes(paths), strict=True):
        kind, _, message = outcome.partition(" ")
        assert kind in ("CheckpointError", "ConfigError", "FileNotFoundError"), f"{path.name}: {outcome}"
        assert path.name in message or message.startswith("this file holds"), f"{path.name}: {outcome}"


def test_recipes_that_describe_too_much() -> None:
    recipe = detzoo.find("retinanet_r18_fpn_shapes")
    with pytest.raises(ConfigError, match="parameters; up to"):
        detzoo.build(recipe.replace(model=recipe.model.replace(neck={"out_channels": 50_000, "start": 1})), ["a"])
    with pytest.raises(ValueError, match="classes has 100000 names"):
        detzoo.build(recipe, classes=[f"c{number}" for number in range(100_000)])
    with pytest.raises(ValueError, match="classes names 'a' more than once"):
        detzoo.build(recipe, classes=[*(f"c{number}" for number in range(50_000)), "a", "a"])


@pytest.mark.parametrize("name", ["../x", "..", "a/b", "a\\b", "/etc/x", "", ".hidden", "a\nb", "a\x1b[2J", "x" * 300])
def test_a_recipe_name_is_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="name of a recipe"):
        detzoo.find("retinanet_r18_fpn_shapes").replace(name=name)
    kept = detzoo.find("retinanet_r18_fpn_shapes").replace(name="Mine 2.1+x-y_ü")
    assert kept.name == "Mine 2.1+x-y_ü"


def test_messages_show_what_a_terminal_would_obey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\x1b[2J.json"
    path.write_text(json.dumps({"name": "a", "model": {"method": "\x1b]0;mine\x07"}, "\x1b[31m": 1}))
    assert main(["show", str(path)]) == 2
    said = capsys.readouterr().err
    assert "\\x1b[2J.json" in said
    assert not {"\x1b", "\x07"} & set(said)


@pytest.mark.parametrize("sha256", ["", "0", "xyz", "0123456", "g" * 8])
def test_a_hash_that_checks_nothing_is_refused(sha256: str) -> None:
    with pytest.raises(ConfigError, match="sha256"):
        detzoo.find("retinanet_r18_fpn_shapes").replace(weights={"url": "https://host/a.pth", "sha256": sha256})


def test_one_storage_of_two_types_in_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(4), "b": torch.zeros(4).int()}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    names = sorted(read_names(data))
    path.write_bytes(data.replace(names[1], names[0]))
    with pytest.raises(CheckpointError, match="described twice"):
        read(path)


def read_names(data: bytes) -> set[bytes]:
    """The names of storages in an old file: the numbers behind "FloatStorage" and "IntStorage"."""
    found = set()
    for kind in (b"FloatStorage", b"IntStorage"):
        place = data.index(b"X", data.index(kind))
        (length,) = struct.unpack("<I", data[place + 1 : place + 5])
        found.add(data[place + 5 : place + 5 + length])
    return found


def test_warnings_stay_as_they_are_when_threads_read(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(3)}, tmp_path / "a.pth")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read(tmp_path / "a.pth") for _ in range(30)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def mutations(data: bytes, most: int, seed: int, count: int) -> list[bytes]:
    """Copies of a file with a few of its first ``most`` bytes changed, or cut off, or with a piece twice."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        changed = bytearray(data)
        match chance.randrange(4):
            case 0:
                del changed[chance.randrange(len(changed)) :]
            case 1:
                start = chance.randrange(min(most, len(changed)))
                changed[start:start] = changed[start : start + chance.randrange(1, 40)]
            case _:
                for _ in range(chance.randrange(1, 4)):
                    changed[chance.randrange(min(most, len(changed)))] = chance.randrange(256)
        made.append(bytes(changed))
    return made


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_changed_bytes_of_other_peoples_files(tmp_path: Path, zipped: bool) -> None:
    content = {
        "meta": {"epoch": 3, "CLASSES": ("a", "b"), "text": "x" * 50},
        "state_dict": {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(3, dtype=torch.float16)},
    }
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused = 0
    for changed in mutations(path.read_bytes(), 1 << 20, 1, 300):
        path.write_bytes(changed)
        try:
            state_dict(read(path))
        except CheckpointError:
            refused += 1
    assert refused > 100


def test_changed_bytes_of_our_files(tmp_path: Path) -> None:
    path = small().save(tmp_path / "a.safetensors")
    data = path.read_bytes()
    head = 8 + int.from_bytes(data[:8], "little")
    messages = []
    for changed in mutations(data[: head + 64], head, 2, 300):
        path.write_bytes(changed + data[head + 64 :] if len(changed) >= head + 64 else changed)
        try:
            detzoo.load(path)
        except (CheckpointError, ConfigError) as error:
            messages.append(str(error))
    assert len(messages) > 150
    assert all("a.safetensors" in message for message in messages)
