"""Weights files read without unpickling: equal to PyTorch's own reading, and nothing else."""

from __future__ import annotations

import collections
import pickle
import struct
import time
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from detzoo.pickles import machine
from detzoo.pickles.allowed import BUILDERS, KEPT_BY_NAME, RULES, Storage
from detzoo.pickles.files import read, state_dict
from detzoo.pickles.machine import CheckpointError, Inert, Machine

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def saved(path: Path, content: Any, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, tensors in dtype, shape and stride too."""
    if isinstance(b, torch.Tensor):
        alike = (a.dtype, a.shape, a.stride()) == (b.dtype, b.shape, b.stride())
        return alike and torch.equal(a, b.detach())
    if isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@FORMS
def test_tensors(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    dtypes = (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8)
    content = {
        **{str(dtype): torch.arange(5).to(dtype) for dtype in dtypes},
        "bytes": torch.tensor([1, 255], dtype=torch.uint8),
        "flags": torch.tensor([True, False, True]),
        "rows": base[1:3],
        "columns": base.t(),
        "spread": base[:, ::2],
        "repeated": torch.tensor([3.0]).expand(4, 5),
        "number": torch.tensor(2.5),
        "nothing": torch.zeros(0, 3),
        "learned": nn.Parameter(torch.ones(2, 2)),
        "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    found = read(saved(tmp_path / "a.pth", content, zipped))
    assert same(found, content)
    assert found["rows"].untyped_storage().data_ptr() == found["columns"].untyped_storage().data_ptr()


@FORMS
def test_containers_and_numbers(tmp_path: Path, zipped: bool) -> None:
    shared = [1, 2]
    content = {
        "nested": [{"a": (1, 2.5, "text", None)}, [True, False], b"bytes \x00\xff", ()],
        "numbers": [-1, 255, 65535, 1 << 31, -(1 << 40), 1 << 200, 1e-300, float("inf")],
        "sets": [{1, 2}, frozenset({"x"}), set()],
        "ordered": collections.OrderedDict([("one", 1), ("two", 2)]),
        "by_default": collections.defaultdict(list, {"a": [1]}),
        "shared": [shared, shared],
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns_first": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "words": np.array(["ab", "c"]),
        "zeros": np.zeros(5000),
        "scalar": np.float64(2.5),
        "scalars": [np.float64(number) for number in range(500)],
        "size": torch.Size([2, 3]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        3: "key",
        (1, "a"): "tuple",
    }
    found = read(saved(tmp_path / "a.pth", content, zipped))
    content["ordered"], content["by_default"] = dict(content["ordered"]), dict(content["by_default"])
    assert same(found, content)
    assert found["shared"][0] is found["shared"][1]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    content = {
        "text": "ü" * 300,
        "big": b"x" * 70000,
        "list": list(range(3000)),
        "set": {1, 2},
        "tensor": torch.ones(3),
    }
    path = tmp_path / "a.pth"
    torch.save(content, path, pickle_protocol=protocol)
    assert same(read(path), content)


def test_a_network(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    for zipped in (True, False):
        content = read(saved(tmp_path / "a.pth", {"state_dict": network.state_dict(), "meta": {"epoch": 3}}, zipped))
        assert content["meta"] == {"epoch": 3}
        other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        other.load_state_dict(state_dict(content))
        assert same(dict(other.state_dict()), dict(network.state_dict()))


def test_the_file_stays_as_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"w": torch.ones(1000)})
    before = path.read_bytes()
    read(path)["w"].zero_()
    assert path.read_bytes() == before


@FORMS
def test_training_tools_objects_are_kept_by_name(
    tmp_path: Path, framework: types.SimpleNamespace, zipped: bool
) -> None:
    content = {
        "meta": {"cfg": "model = dict()", "dataset_meta": {"classes": ("cat",)}},
        "state_dict": collections.OrderedDict(weight=torch.ones(2)),
        "message_hub": {"log_scalars": {"loss": framework.HistoryBuffer()}, "settings": framework.ConfigDict(a=[1])},
    }
    found = read(saved(tmp_path / "a.pth", content, zipped))
    buffer = found["message_hub"]["log_scalars"]["loss"]
    assert isinstance(buffer, Inert)
    assert "HistoryBuffer, not rebuilt" in repr(buffer)
    assert found["message_hub"]["settings"] == {"a": [1]}
    assert found["meta"]["dataset_meta"]["classes"] == ("cat",)
    assert state_dict(found).keys() == {"weight"}


CANARY: list[str] = []


class Hostile:
    """Runs something when it is unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


@FORMS
@pytest.mark.parametrize(
    "call",
    [eval, exec, print, open, __import__, CANARY.append, pickle.loads],
    ids=lambda call: getattr(call, "__qualname__", None),
)
def test_nothing_is_called(tmp_path: Path, call: Any, zipped: bool) -> None:
    path = saved(tmp_path / "a.pth", {"w": torch.ones(1), "x": Hostile(call, "__import__('os').abort()")}, zipped)
    with pytest.raises(CheckpointError, match=r"a\.pth: its pickle (names|asks)"):
        read(path)
    assert not CANARY


def test_a_whole_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"names 'torch\.nn\.modules\.linear\.Linear'.*nothing was run"):
        read(saved(tmp_path / "a.pth", nn.Linear(2, 2)))


def run(data: bytes, storage: torch.Tensor | None = None) -> Any:
    """A hand-made pickle."""
    flat = torch.arange(10.0) if storage is None else storage
    return Machine(RULES, BUILDERS, lambda key: Storage(flat), len(data)).run(data)


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def tensor(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A pickle of a view of a storage of ten numbers."""
    inner = pickle.dumps((offset, size, stride), protocol=2)[2:-1]
    unpacked = pickle.dumps(offset, 2)[2:-1] + pickle.dumps(size, 2)[2:-1] + pickle.dumps(stride, 2)[2:-1]
    assert inner
    return b"\x80\x02" + REBUILD + b"(Nq\x00Q" + unpacked + b"\x89NtR."


def test_a_view_stays_in_its_storage() -> None:
    assert run(tensor(2, (2, 3), (3, 1))).tolist() == [[2, 3, 4], [5, 6, 7]]
    assert run(tensor(0, (0, 5), (5, 1))).shape == (0, 5)
    for bad in (
        tensor(5, (2, 3), (3, 1)),
        tensor(0, (11,), (1,)),
        tensor(-1, (2,), (1,)),
        tensor(0, (2,), (-1,)),
        tensor(0, (1 << 40, 2), (0, 1)),  # a billion times the same
        tensor(0, (1 << 60,), (1,)),
        tensor(0, (2,), (1, 1)),
        tensor(0, (1,) * 40, (1,) * 40),
    ):
        with pytest.raises(CheckpointError):
            run(bad)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"\x80\x02.",
        b"\x80\x09N.",
        b"N",
        b"(",
        b"(.",
        b"t.",
        b"g0\n.",
        b"Na.",
        b"N}s.",
        b"NN\x86N\x86R.",  # a call of nothing
        b"ccollections\nOrderedDict\nNR.",
        b"ccollections\nOrderedDict\n}b.",  # to change a class
        b"ctorch._utils\n_rebuild_tensor_v2\n}b.",
        b"cnumpy\nndarray\n}b.",
        b"cbuiltins\ngetattr\n(ccollections\nOrderedDict\nX\x05\x00\x00\x00clearttR.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00zlib_tR.",
        b"cnumpy\ndtype\n(X\x01\x00\x00\x00OtR.",
        b"}\x8c\x01a\x8c\x01bh\x00s.",
        b"}]Ns.",  # a list as a key
        b"(ios\nsystem\n.",
        b"(dS'a'\nNo.",
        b"\x82\x01.",
        b"Pid\n.",
        b"\x8c\x02os\x8c\x06system\x93.",
        b"c\n\n.",
        b"X\xff\xff\xff\x7fabc.",
        b"\x8b\xff\xff\xff\x7f.",
        b"I1" + b"0" * 5000 + b"\n.",
    ],
)
def test_damaged_or_hostile_pickles(data: bytes) -> None:
    with pytest.raises(CheckpointError, match="its pickle"):
        run(data)


def test_keys_that_take_forever_to_hash() -> None:
    data = b"K\x01" + b"2\x86" * 60 + b"q\x000}h\x00Ns."
    with pytest.raises(CheckpointError, match="a tuple as a key"):
        run(data)


# lists of lists, twice each, 60 deep, the outermost memorized as 60: what is made of it as a text has no end
NESTED = b"]q\x00" + b"".join(b"0](h%ch%ceq%c" % (depth, depth, depth + 1) for depth in range(60))


@pytest.mark.parametrize(
    "call",
    [
        b"ctorch\ndevice\n(h\x3ctR",
        b"ctorch\nSize\n(h\x3ctR",
        b"cnumpy\ndtype\n(h\x3ctR",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00ah\x3ctR",
        b"ccollections\nOrderedDict\n(h\x3ctR",
        b"cbuiltins\nset\n(h\x3ctR",
        b"}h\x3cNs",
        b"(h\x3c\x91",
    ],
    ids=["device", "size", "dtype", "encode", "dict", "set", "key", "frozenset"],
)
def test_values_that_take_forever_to_show(call: bytes) -> None:
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match="its pickle is damaged"):
        run(NESTED + b"0" + call + b".")
    assert time.perf_counter() - start < 1


def test_a_list_of_tensors_that_takes_forever_to_show(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.pth", {}, zipped=False).read_bytes()
    assert whole.endswith(pickle.dumps([], 2))
    (tmp_path / "a.pth").write_bytes(whole.removesuffix(pickle.dumps([], 2)) + b"\x80\x02(" + NESTED + b"l.")
    with pytest.raises(CheckpointError, match="its list of tensors does not fit"):
        read(tmp_path / "a.pth")


def test_the_same_number_over_and_over() -> None:
    kind = b"cnumpy\ndtype\n(X\x05\x00\x00\x00S4096K\x00K\x01tRq\x000"
    number = b"X\x00\x10\x00\x00" + b"a" * 4096 + b"q\x010cnumpy.core.multiarray\nscalar\nq\x020"
    with pytest.raises(CheckpointError, match="more data than the file holds"):
        run(kind + number + b"(" + b"h\x02h\x00h\x01\x86R" * 50 + b"l.")


def test_the_same_bytes_over_and_over() -> None:
    text = b"X\x00\x10\x00\x00" + b"a" * 4096
    data = b"]" + text + b"q\x000" + b"c_codecs\nencode\n(h\x00X\x06\x00\x00\x00latin1tRa" * 50 + b"."
    with pytest.raises(CheckpointError, match="more data than the file holds"):
        run(data)


def test_many_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_STEPS", 1000)
    with pytest.raises(CheckpointError, match="more than 1000 operations"):
        run(b"N0" * 1000 + b"N.")


def test_containers_in_containers_without_end() -> None:
    assert isinstance(run(b"]q\x00h\x00a."), list)  # in itself
    assert isinstance(run(b"]" * 100_000 + b"a" * 99_999 + b"."), list)


def archive(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return path


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as made:
        return {name: made.read(name) for name in made.namelist()}


def test_archives_that_are_none_of_weights(tmp_path: Path) -> None:
    good = entries_of(saved(tmp_path / "a.pth", {"w": torch.ones(1000)}))
    path = tmp_path / "b.pth"
    assert read(archive(path, good))["w"].sum() == 1000
    cases = [
        (good, zipfile.ZIP_DEFLATED, "compressed"),
        ({"x.txt": b"text"}, zipfile.ZIP_STORED, "not one of weights"),
        ({**good, "a/constants.pkl": b""}, zipfile.ZIP_STORED, "not one of weights"),
        ({**good, "b/data.pkl": b""}, zipfile.ZIP_STORED, "not one of weights"),
        ({**good, "a/byteorder": b"big"}, zipfile.ZIP_STORED, "byte order"),
        ({**good, "a/data/0": b"short"}, zipfile.ZIP_STORED, "missing or has another size"),
        ({name: data for name, data in good.items() if name != "a/data/0"}, zipfile.ZIP_STORED, "missing"),
    ]
    for entries, compression, message in cases:
        with pytest.raises(CheckpointError, match=message):
            read(archive(path, entries, compression))


@FORMS
def test_files_that_are_cut_off(tmp_path: Path, zipped: bool) -> None:
    whole = saved(tmp_path / "a.pth", {"w": torch.ones(50), "name": "x"}, zipped).read_bytes()
    path = tmp_path / "cut.pth"
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match=r"cut\.pth: it"):
            read(path)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    for data in (b"\x89PNG\r\n" * 20, b"<html>404</html>", struct.pack("<q", 3) + b"{} ", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"no file that torch\.save wrote|damaged or cut off"):
            read(path)
    with pytest.raises(FileNotFoundError, match=r"no weights file at .*gone"):
        read(tmp_path / "gone.pth")
    with pytest.raises(FileNotFoundError):
        read(tmp_path)


def test_which_dict_holds_the_weights() -> None:
    weight = torch.ones(1)
    assert state_dict({"state_dict": {"module.a": weight}, "meta": {}}).keys() == {"a"}
    assert state_dict({"model": {"a": weight, "module.b": weight}}).keys() == {"a", "module.b"}
    assert state_dict({"a": weight}).keys() == {"a"}
    for content in ([1], {"state_dict": {"a": 3}}, {}, None, {"state_dict": {}}):
        with pytest.raises(CheckpointError, match="holds no state dict"):
            state_dict(content)


def test_the_table_names_nothing_that_runs() -> None:
    """A rule is a function of ours, a value, or nothing to call: no class or function of another module."""
    for name, rule in RULES.items():
        if isinstance(rule, machine.Rule):
            assert rule.call is None or rule.call.__module__ == "detzoo.pickles.allowed", name
        else:
            assert isinstance(rule, torch.dtype), name
    assert not [name for name in KEPT_BY_NAME if not name.startswith(("mmengine.", "mmcv.", "argparse.", "pathlib."))]
