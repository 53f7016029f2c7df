"""Paddle's weights read without unpickling: what its own writer makes, and nothing else."""

from __future__ import annotations

import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from detzoo.pickles import paddle
from detzoo.pickles.machine import CheckpointError
from detzoo.pickles.paddle import read
from tests.hostile_files import outcomes
from tests.paddle_files import folder, nested, pdparams, static, tar, variable
from tests.test_hostile import PICKLES, mutations, without_end
from tests.test_pickles import Hostile


def arrays() -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.normal(size=(8, 16, 3, 3)).astype(np.float32),  # large enough to be seen in place
        "fc.bias": rng.normal(size=5).astype(np.float64),
        "half": rng.normal(size=(2, 3)).astype(np.float16),
        "step": np.array([7]),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 4), np.float32),
        "letters": np.arange(256, dtype=np.uint8),
    }


def same(found: dict[str, torch.Tensor], expected: dict[str, NDArray[Any]]) -> bool:
    alike = [found[name].dtype == torch.from_numpy(array).dtype for name, array in expected.items()]
    equal = [np.array_equal(found[name].numpy(), array) for name, array in expected.items()]
    return found.keys() == expected.keys() and all(alike) and all(equal)


@pytest.mark.parametrize("protocol", [2, 3, 4])  # Paddle writes no other
def test_a_state_dict_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    given = arrays()
    given["columns"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    assert same(read(pdparams(tmp_path / "a.pdparams", given, protocol)), given)


def test_the_names_of_numpy_1_and_2(tmp_path: Path) -> None:
    path = pdparams(tmp_path / "a.pdparams", arrays(), 2)
    data = path.read_bytes()
    assert b"numpy._core.multiarray" in data or b"numpy.core.multiarray" in data
    for name in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        path.write_bytes(
            data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray").replace(b"numpy.core.multiarray", name)
        )
        assert same(read(path), arrays())


def test_tensors_of_a_nested_dict(tmp_path: Path) -> None:
    assert same(read(nested(tmp_path / "a.pdparams", arrays(), epoch=3)), arrays())


def test_bfloat16_is_stored_as_bits(tmp_path: Path) -> None:
    numbers = torch.tensor([[1.5, -2.0], [3.25, 0.0]], dtype=torch.bfloat16)
    bits = numbers.view(torch.int16).numpy().view(np.uint16)
    assert torch.equal(read(pdparams(tmp_path / "a.pdparams", {"w": bits}))["w"], numbers)


def test_large_tensors_are_in_slices(tmp_path: Path) -> None:
    whole = np.arange(12.0).reshape(3, 4)
    pieces = {f"w@@.{number}": whole.ravel()[4 * number : 4 * number + 4] for number in range(3)}
    said = {"w": {"OriginShape": (3, 4), "slices": list(pieces)}}
    path = pdparams(tmp_path / "a.pdparams", pieces, 2, **{"UnpackBigParamInfor@@": said})
    assert same(read(path), {"w": whole})
    said["w"]["slices"][1] = said["w"]["slices"][0]
    with pytest.raises(CheckpointError, match=r"large tensor 'w' is not whole"):
        read(pdparams(path, pieces, 2, **{"UnpackBigParamInfor@@": said}))


def test_the_state_of_an_optimizer_is_no_weights(tmp_path: Path) -> None:
    scheduler = {"w": np.zeros(3), "LR_Scheduler": {"last_lr": 0.1}}
    for content in ({"w_velocity_0": np.zeros(3)}, scheduler):
        with pytest.raises(CheckpointError, match=r"a\.pdopt: it is the state of an optimizer.*pass the \.pdparams"):
            read(pdparams(tmp_path / "a.pdopt", content))


def test_a_static_model(tmp_path: Path) -> None:
    given = {name: array for name, array in arrays().items() if name != "none"} | {"number": np.array(2.5)}
    assert same(read(folder(tmp_path / "model", given)), given)
    assert same(read(static(tmp_path / "a.tar", given)), given)
    (tmp_path / "model" / "__model__").write_bytes(b"\x0a\x01")  # the network, as Paddle runs it
    assert same(read(tmp_path / "model"), given)
    files = {"./" + "long" * 40: variable(given["step"], levels=bytes(16))}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        name = "long" * 40 if form != tarfile.USTAR_FORMAT else "short"
        files = {f"./deep/{name}": variable(given["step"], levels=bytes(16))}
        assert same(read(tar(tmp_path / "b.tar", files, form)), {name: given["step"]})


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_paths_out_of_an_archive(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"a\.tar: '.*out' is a path out of the archive"):
        read(tar(tmp_path / "a.tar", {name: variable(np.zeros(2))}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_an_archive(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        entry = tarfile.TarInfo("model/w")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(CheckpointError, match="links or devices"):
        read(tmp_path / "a.tar")


def test_folders_that_are_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder(tmp_path / "model", {"w": np.zeros(2)})
    (path / "link").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="link is a link or a device"):
        read(path)
    (path / "link").unlink()
    (path / "notes").write_text("words")
    with pytest.raises(CheckpointError, match="notes is no variable of a static model"):
        read(path)
    (path / "notes").write_text("")
    with pytest.raises(CheckpointError, match="notes is empty"):
        read(path)
    with pytest.raises(CheckpointError, match="holds no variables"):
        read(tmp_path)
    (path / "notes").unlink()
    with pytest.raises(CheckpointError, match="'two' is there twice"):
        read(tar(tmp_path / "a.tar", {"a/two": variable(np.zeros(2)), "b/two": variable(np.zeros(2))}))
    with pytest.raises(CheckpointError, match="in several folders"):
        read(tar(tmp_path / "a.tar", {"a/one": variable(np.zeros(2)), "b/two": variable(np.zeros(2))}))
    with pytest.raises(CheckpointError, match="it has 40 bytes, but such weights have 20 at most"):
        read(path, most=20)
    monkeypatch.setattr(paddle, "MOST_VARIABLES", 1)
    with pytest.raises(CheckpointError, match="more than 1 files"):
        read(tar(tmp_path / "a.tar", {f"a/{name}": variable(np.zeros(2)) for name in "ab"}))


DIMENSIONS = b"\x10" + b"\xff" * 6 + b"\x01"
BAD = {
    "huge dimensions": variable(np.zeros(2, np.float32), b"\x08\x05" + DIMENSIONS * 2),
    "many dimensions": variable(np.zeros(2, np.float32), b"\x08\x05" + b"\x10\x01" * 60),
    "a number without an end": variable(np.zeros(2, np.float32), b"\x08\x05\x10" + b"\xff" * 40),
    "another type": variable(np.zeros(2, np.float32), b"\x08\x63\x10\x02"),
    "another version": b"\x01" + variable(np.zeros(2))[1:],
    "levels without an end": struct.pack("<IQ", 0, 1 << 60),
    "a level that is too long": struct.pack("<IQQ", 0, 1, 1 << 60) + bytes(100),
    "a description that is too long": struct.pack("<IQIi", 0, 0, 0, 1 << 30),
    "a description of less than nothing": struct.pack("<IQIi", 0, 0, 0, -1),
    "cut off": variable(np.zeros(200))[:-1],
    "more than said": variable(np.zeros(200)) + b"\0",
    "nothing": b"\0" * 3,
}


@pytest.mark.parametrize("name", BAD)
def test_damaged_variables(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=r"a\.tar: w is no variable of a static model, or damaged"):
        read(tar(tmp_path / "a.tar", {"model/w": BAD[name]}))


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_is_called(tmp_path: Path, protocol: int) -> None:
    for hostile in (
        Hostile(os.system, "true"),
        Hostile(pickle.loads, pickle.dumps(1)),
        Hostile(np.load, "/etc/passwd"),
    ):
        path = pdparams(tmp_path / "a.pdparams", {"w": np.zeros(3)}, protocol, more=hostile)
        with pytest.raises(CheckpointError, match=r"a\.pdparams: its pickle names .*; nothing was run"):
            read(path)


@pytest.mark.parametrize("array", [np.array(["ab"]), np.zeros(2, np.complex64), np.zeros(2, ">f4"), np.zeros(2, "u4")])
def test_arrays_that_no_weights_are(tmp_path: Path, array: NDArray[Any]) -> None:
    with pytest.raises(CheckpointError, match="its pickle"):
        read(pdparams(tmp_path / "a.pdparams", {"w": array}))


def test_files_that_cost_time_or_memory(tmp_path: Path) -> None:
    """All in one process, for it takes a while to begin."""
    paths = []
    for name, content in list(PICKLES.items())[::6]:  # as of a .pth, which is read by the same machine
        paths.append(tmp_path / f"{name}.pdparams")
        paths[-1].write_bytes(b"\x80\x02" + content)
    wide = b"\x80\x04]" + b"\x8e" + struct.pack("<Q", 1 << 39)  # bytes that the file says to have
    (tmp_path / "wide.pdparams").write_bytes(wide)
    sparse = tmp_path / "sparse bytes.pdparams"
    sparse.write_bytes(wide)
    os.truncate(sparse, 1 << 40)
    crowded = tmp_path / "crowded.tar"
    crowded.write_bytes(b"".join(tarfile.TarInfo(f"model/{number}").tobuf() for number in range(21_000)))
    compressed = tmp_path / "compressed.tar"
    with tarfile.open(compressed, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model/w"))
    paths += [tmp_path / "wide.pdparams", sparse, crowded, compressed]
    paths += [path for suffix in (".pdparams", ".tar") for path in without_end(tmp_path, suffix)]
    for path, outcome in zip(paths, outcomes(paths), strict=True):
        kind, _, message = outcome.partition(" ")
        assert kind in ("CheckpointError", "FileNotFoundError"), f"{path.name}: {outcome}"
        assert path.name in message, f"{path.name}: {outcome}"


@pytest.mark.parametrize("kind", ["pdparams", "tar"])
def test_changed_bytes(tmp_path: Path, kind: str) -> None:
    given = {"a.weight": np.ones((2, 3), np.float32), "a.bias": np.zeros(3, np.float16)}
    path = tmp_path / f"a.{kind}"
    (pdparams if kind == "pdparams" else static)(path, given)
    messages = []
    for changed in mutations(path.read_bytes(), 1 << 20, 3, 300):
        path.write_bytes(changed)
        try:
            read(path)
        except CheckpointError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert all(path.name in message for message in messages)


def test_what_is_no_model_that_was_trained_is_called_so(tmp_path: Path) -> None:
    exported = folder(tmp_path / "inference", {"model.pdiparams": np.zeros(2), "model.pdmodel": np.zeros(2)})
    trained = folder(tmp_path / "output", {"model_final.pdparams": np.zeros(2), "model_final.pdopt": np.zeros(2)})
    for path, said in (
        (exported, "exported for inference"),
        (exported / "model.pdiparams", "exported for inference"),
        (folder(tmp_path / "older", {"__params__": np.zeros(2)}), "exported for inference"),
        (trained, "it has model_final.pd.* in it, so it is no static model"),
    ):
        with pytest.raises(CheckpointError, match=said):
            read(path)
    with pytest.raises(FileNotFoundError, match=r"there is .*model_final.pdparams"):
        read(trained / "model_final")
