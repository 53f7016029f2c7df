"""Pickles by hand, and a call in a process of its own with limits on time and memory."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

PROTOCOL = b"\x80\x02"
# "in about a second" of docs/ and SECURITY.md, ten times as generous: a loaded machine is not what is tested
SECONDS = 10  # of the processor
HANG = 60  # seconds, for what waits and computes nothing
MEGABYTES = 4000

_CHILD = """
import sys, threading, time, os
sys.path.insert(0, os.getcwd())
import torch
import detzoo
from detzoo.pickles import paddle
from detzoo.pickles.files import read, state_dict
from detzoo.recipes.files import CheckpointError
from detzoo.config import ConfigError, load
torch.set_num_threads(1)

def used():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

base, start, begun = used(), time.process_time(), time.monotonic()

def watch():
    while True:
        spent, passed = time.process_time() - start, time.monotonic() - begun
        if spent > {seconds} or passed > {hang} or used() - base > {megabytes}:
            print(f"LIMIT {{spent:.1f}} s of the processor, {{passed:.1f}} s, {{used() - base:.0f}} MB", flush=True)
            os._exit(3)
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
calls = {{
    ".pth": lambda path: state_dict(read(path)),
    ".pdparams": paddle.read,
    ".tar": paddle.read,
    ".json": lambda path: load(detzoo.Recipe, path),
    ".safetensors": lambda path: detzoo.load(path),
}}
for path in sys.argv[1:]:
    base, start, begun = used(), time.process_time(), time.monotonic()
    try:
        calls[os.path.splitext(path)[1]](path)
        print("ok", flush=True)
    except (CheckpointError, ConfigError, FileNotFoundError) as error:
        print(type(error).__name__, " ".join(str(error).split())[:300], flush=True)
"""


def outcomes(paths: list[Path]) -> list[str]:
    """What becomes of each file in a process of its own: "ok", or the name and text of one of our errors.

    Any other error, and a file that takes `SECONDS` of the processor, `HANG` or `MEGABYTES`, fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(seconds=SECONDS, hang=HANG, megabytes=MEGABYTES), *map(str, paths)],
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"{paths[min(len(lines), len(paths)) - 1]}: {lines[-1:]}\n{done.stderr[-2000:]}"
    assert len(lines) == len(paths), done.stdout
    return lines


def named(module: str, word: str) -> bytes:
    return f"c{module}\n{word}\n".encode()


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def whole(number: int) -> bytes:
    if 0 <= number < 256:
        return b"K" + bytes([number])
    data = pickle.encode_long(number)
    return b"\x8a" + bytes([len(data)]) + data if len(data) < 256 else b"\x8b" + struct.pack("<i", len(data)) + data


def group(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def call(what: bytes, *arguments: bytes) -> bytes:
    return what + group(*arguments) + b"R"


def put(place: int) -> bytes:
    return b"r" + struct.pack("<I", place)


def get(place: int) -> bytes:
    return b"j" + struct.pack("<I", place)


def storage(kind: str = "FloatStorage", count: int = 4) -> bytes:
    return group(text("storage"), named("torch", kind), text("0"), text("cpu"), whole(count)) + b"Q"


def tensor(kind: str = "FloatStorage") -> bytes:
    """A tensor of four numbers."""
    view = (whole(0), group(whole(4)), group(whole(1)), b"\x89", call(named("collections", "OrderedDict")))
    return call(named("torch._utils", "_rebuild_tensor_v2"), storage(kind), *view)


def archive(path: Path, content: bytes, data: bytes = bytes(16)) -> Path:
    """A ``.pth`` file with this pickle, and one storage."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a/data.pkl", PROTOCOL + content)
        made.writestr("a/byteorder", "little")
        made.writestr("a/data/0", data)
        made.writestr("a/version", "3\n")
    return path


def crowded(path: Path, count: int) -> Path:
    """An archive of so many empty entries."""
    head = struct.Struct("<4s5H3I2H")
    listed = struct.Struct("<4s6H3I5H2I")
    entries, index = bytearray(), bytearray()
    for number in range(count):
        name = b"a/data/%d" % number
        index += listed.pack(b"PK\x01\x02", 20, 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0, 0, 0, 0, 0, len(entries)) + name
        entries += head.pack(b"PK\x03\x04", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0) + name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(index), len(entries), 0)
    path.write_bytes(bytes(entries + index) + end)
    return path
