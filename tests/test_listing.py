"""The zoo's index and the table that is made of it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

import detzoo
from detzoo.commands.options import SORTS
from detzoo.listing import ORDERS, cells, listed, table
from detzoo.recipes import ssd
from detzoo.recipes.index import FILE, UnknownRecipe, lookup, matching, rows
from detzoo.recipes.write_index import index
from detzoo.recipes.write_index import main as write
from detzoo.recipes.zoo import TABLES


def test_the_index_is_current():
    # sorted: git merges lines, and readers do not ask for an order
    assert sorted(FILE.read_text().splitlines()) == sorted(index().splitlines()), "run `make index`"


def test_the_index_has_every_setting():
    for recipe in itertools.chain(*TABLES):
        assert json.dumps(lookup(recipe.name).recipe) == json.dumps(recipe.model_dump(mode="json"))


def test_an_index_that_is_not_there_or_damaged_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("detzoo.recipes.index.FILE", tmp_path / "index.jsonl")
    monkeypatch.setattr("detzoo.recipes.write_index.FILE", tmp_path / "index.jsonl")
    monkeypatch.setattr("detzoo.recipes.write_index.TABLES", (ssd.RECIPES,))
    rows.cache_clear()
    write()
    whole = (tmp_path / "index.jsonl").read_text()
    assert whole == index()
    (tmp_path / "index.jsonl").write_text("<<<<<<< HEAD\n" + whole)
    rows.cache_clear()
    write()
    assert (tmp_path / "index.jsonl").read_text() == whole
    rows.cache_clear()
    assert [*rows()] == sorted(recipe.name for recipe in ssd.RECIPES)
    rows.cache_clear()


def test_the_index_finds_what_the_zoo_finds():
    assert detzoo.names() == sorted(recipe.name for table in TABLES for recipe in table)
    for name in ("mask-rcnn_r50-caffe_fpn_ms-poly-3x_coco", "Mask-RCNN_r50_fpn_1x_coco", "ssd300_coco"):
        assert lookup(name).name == detzoo.find(name).name
    with pytest.raises(UnknownRecipe, match="did you mean 'ssd300_coco'"):
        lookup("ssd300_coc")


@pytest.mark.parametrize(
    "words",
    [("list", "r50", "--sort", "ap"), ("show", "ssd300_coco"), ("show", "ssd300_coc"), ("train", "ssd300_coc")],
    ids="-".join,
)
def test_looking_around_imports_no_torch(words: tuple[str, ...]):
    code = f"import sys; from detzoo.cli import main; main({words!r}); "
    code += "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_patterns():
    names = ["mask_a", "mask_b", "mask_a2", "ssd"]
    assert matching(names, "*") == sorted(names)
    assert matching(names, "mask") == ["mask_a", "mask_a2", "mask_b"]
    assert matching(names, "MASK-") == ["mask_a", "mask_a2", "mask_b"]
    assert matching(names, "mask_a") == ["mask_a"]
    assert matching(names, "*_a") == ["mask_a"]
    assert matching(names, "x") == []
    assert "mask_rcnn_r50_fpn_1x_coco" in detzoo.names("r50_fpn_1x")


def test_rows_are_filtered_and_sorted():
    assert SORTS == ORDERS
    best = listed("faster", sort="ap", min_ap=40, weights=True)
    scores = [row.box_ap or 0 for row in best]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 40
    assert {row.backbone for row in listed(backbone="x101")} <= {row.backbone for row in listed(backbone="ResNeXt-101")}
    assert {row.backbone for row in listed(backbone="r50")} >= {"ResNet-50"}
    assert all("ResNet-50" in row.backbone for row in listed(backbone="r50"))
    assert 0 < max(row.parameters for row in listed(max_params=30)) <= 30e6
    assert 0 < len(listed(max_size=512)) < len(listed())
    sizes = [row.parameters for row in listed("retinanet", sort="params")]
    assert sizes == sorted(sizes)


def test_parameters_are_those_of_the_model():
    (row,) = listed("mask_rcnn_r18_fpn_shapes")
    model = detzoo.build("mask_rcnn_r18_fpn_shapes")
    assert row.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert cells(row)[4] == "ResNet-18"


def test_a_table_has_columns():
    assert table(("a", "b"), [("1", "22"), ("333", "4")]) == "a    b\n1    22\n333  4"
