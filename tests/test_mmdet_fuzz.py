"""Mutated configs and weights files: each is read or refused by our own errors, quickly, and nothing in it runs."""

from __future__ import annotations

import io
import os
import pickle
import random
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detzoo.config import ConfigError
from detzoo.interop.mmdet.configs import read_text
from detzoo.interop.mmdet.importer import read_config
from detzoo.pickles.files import read
from detzoo.pickles.machine import CheckpointError
from tests.mmdet_files import FASTER_RCNN_2, FASTER_RCNN_3, RETINANET_2
from tests.mmdet_one_stage_files import CORNERNET_2, SSD_2

# what a hostile text or pickle would run: it leaves a file behind
CANARY = "detzoo_canary"
SNIPPETS = (
    f"__import__('os').mkdir('{CANARY}')",
    f"open('{CANARY}', 'w')",
    "().__class__.__base__.__subclasses__()",
    "_base_.model",
    "{{_base_.model}}",
    "[x for x in range(10**9)]",
    "9**9**9",
    "'a' * 10**9",
    "dict(**model)",
    "model",
    "-1",
    "None",
    "'x'",
    "[]",
    "{}",
    "dict()",
    "1e400",
    "float('nan')",
    "10**30",
    "True",
    "(1, 2)",
    "lambda: 1",
    "f'{model}'",
)
SECONDS = 5.0  # where a busy machine stops for a while


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where a canary would be seen."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not os.path.exists(CANARY)


def mutated_text(text: str, chance: random.Random) -> str:
    """A config with words replaced, lines gone, doubled or moved, and characters changed."""
    for _ in range(chance.randint(1, 4)):
        lines = text.split("\n")
        kind = chance.randrange(6)
        if kind == 0:
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice("()[]{}=,'\"\\\n\t .*:@#0aé\x00") + text[place + chance.randint(0, 2) :]
        elif kind == 1:
            del lines[chance.randrange(len(lines))]
            text = "\n".join(lines)
        elif kind == 2:
            lines.insert(chance.randrange(len(lines)), chance.choice(lines))
            text = "\n".join(lines)
        elif kind == 3:
            text = text[: chance.randrange(len(text))]
        else:
            values = [place for place, letter in enumerate(text) if letter == "="]
            if values:
                start = chance.choice(values) + 1
                end = min(place for place in (*(text.find(mark, start) for mark in ",)\n"), len(text)) if place >= 0)
                text = text[:start] + chance.choice(SNIPPETS) + text[end:]
    return text


TEXTS = {
    "faster": FASTER_RCNN_3,
    "faster 2": FASTER_RCNN_2,
    "retina 2": RETINANET_2,
    "ssd 2": SSD_2,
    "corner 2": CORNERNET_2,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_mutated_configs(place: Path, text: str) -> None:
    chance = random.Random(7)
    read_config(read_text(text, "config.py"))  # what PyTorch imports only when it is used takes seconds
    refused = imported = 0
    for _ in range(400):
        mutant = mutated_text(text, chance)
        start = time.process_time()
        try:
            read_config(read_text(mutant, "config.py"))
            imported += 1
        except ConfigError:
            refused += 1
        assert time.process_time() - start < SECONDS, mutant
    assert refused > 10
    assert imported > 0


def checkpoint(zipped: bool, protocol: int = 2) -> bytes:
    """A small file with all that training leaves in one."""
    content = {
        "meta": {"epoch": 3, "config": "x = 1", "CLASSES": ("a", "b"), "time": None, "array": np.arange(3.0)},
        "state_dict": OrderedDict(weight=torch.ones(3, 2), half=torch.ones(2).half(), view=torch.ones(4)[1:3]),
        "optimizer": {"state": {0: {"momentum": torch.zeros(2)}}, "groups": [{"lr": 0.1, "params": [0, 1]}]},
        "odd": [{1, 2}, frozenset({3}), np.float64(2.0), torch.Size([1, 2]), torch.float16],
    }
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (CANARY,)


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """A file with bytes changed, cut out, doubled or cut off, and hostile pieces put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(changed))
        kind = chance.randrange(7)
        if kind <= 2:
            changed[place] = chance.randrange(256)
        elif kind == 3:
            del changed[place : place + chance.randint(1, 20)]
        elif kind == 4:
            changed[place:place] = changed[place : place + chance.randint(1, 40)]
        elif kind == 5:
            changed[place:place] = pickle.dumps(Hostile(), protocol=chance.choice([0, 2, 4]))[: chance.randint(1, 80)]
        else:
            # an operation of a pickle in place of another
            changed[place] = chance.choice(
                b"(.0123FINJKLMTUVXabcdeghijlopqrstu}])\x80\x81\x82\x85\x86\x87\x88\x93\x94Q"
            )
        if not changed:
            return b"."
    return bytes(changed)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_mutated_weights_files(place: Path, zipped: bool, protocol: int) -> None:
    chance = random.Random(11)
    whole = checkpoint(zipped, protocol)
    path = place / "weights.pth"
    refused = loaded = 0
    for _ in range(1500):
        path.write_bytes(mutated_bytes(whole, chance))
        start = time.process_time()
        try:
            read(path)
            loaded += 1
        except CheckpointError:
            refused += 1
        assert time.process_time() - start < SECONDS
    assert refused > 50


@pytest.mark.parametrize("protocol", [2, 4])
def test_random_pickles(place: Path, protocol: int) -> None:
    """Only the pickle inside of the older form is changed, so that far more of it is reached."""
    chance = random.Random(13)
    whole = checkpoint(False, protocol)
    begin = whole.index(b"meta") - 10
    path = place / "weights.pth"
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2000):
            path.write_bytes(whole[:begin] + mutated_bytes(whole[begin:], chance))
            start = time.process_time()
            try:
                read(path)
            except CheckpointError:
                count += 1
            assert time.process_time() - start < SECONDS
    assert count > 50
