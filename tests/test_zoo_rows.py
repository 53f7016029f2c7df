"""``make zoo``: the published rows, and what is said of each."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

import detzoo
from tests import published, published_paddle
from tests.mmdet_files import FASTER_RCNN_2, FASTER_RCNN_3
from tests.paddle_configs import FASTER_RCNN
from tests.published import GOLDEN, Published, parameters_of, published_rows
from tests.published_paddle import PaddleRow, paddle_rows
from tests.zoo import CLASSIFIER, Folders, Row, imported_paddle, look, look_paddle, main, parameters, summary

ROWS = {row.name: row for row in published_rows()}
NOWHERE: Folders = {"3x": None, "2x": None}
RETINANET = "retinanet_r50_fpn_1x_coco"
FASTER = "faster_rcnn_r50_fpn_1x_coco"


def test_the_lists_are_whole_and_small():
    assert len(ROWS) == len(published_rows()) == 438
    assert len({row.system for row in ROWS.values()}) == 65
    assert [row.name for row in ROWS.values() if not row.config and row.detector] == [
        "gfl_r18_fpn_1x_coco__ld_baseline",
        "gfl_r34_fpn_1x_coco__ld_baseline",
        "fsaf_pscale0.2_nscale0.5_r50_fpn_1x_coco",
    ]
    assert all(parameters_of(row.config) for row in ROWS.values() if row.config)
    assert sum((GOLDEN / name).stat().st_size for name in ("zoo.csv", "parameters.json.xz")) < 100_000


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        (RETINANET, RETINANET),
        ("detr_r50_8x2_150e_coco", "detr_r50_8x2_150e_coco"),
        ("retinanet_r50_fpn_1x_coco__pisa_baseline", RETINANET),
        ("faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco__doc001", "faster_rcnn_r50_fpn_dconv_c3-c5_1x_coco"),
    ],
)
def test_a_row_with_a_recipe(name: str, recipe: str):
    given = ROWS[name]
    row = look(given, NOWHERE)
    assert row == Row(name, given.system, given.config, recipe, "yes", "yes", "not tried", "not tried", "none")
    assert row.done


def test_rows_without_a_recipe():
    unknown = Published("nothing_r50_1x_coco__other_threshold", "Nothing", ROWS[RETINANET].config, "", "", True)
    assert look(unknown, NOWHERE) == Row(unknown.name, "Nothing", unknown.config)
    classifier = look(ROWS["imagenet_cls_resnet101"], NOWHERE)
    assert (classifier.recipe, classifier.parameters, classifier.done) == ("", CLASSIFIER, False)
    # a baseline whose own row is none, of a config that is a recipe's
    repeated = replace(unknown, same_as="nothing_r50_1x_coco")
    assert look(repeated, NOWHERE).recipe == RETINANET


def test_what_is_wrong_with_parameters_is_told():
    recipe, shapes = detzoo.find(RETINANET), dict(parameters_of(ROWS[RETINANET].config) or {})
    assert parameters(recipe, None) == "none"
    shapes["bbox_head.retina_cls.bias"] = [9]
    shapes["neck.more.weight"] = shapes.pop("neck.fpn_convs.0.conv.bias")
    told = parameters(recipe, shapes)
    assert "1 missing: neck.fpn_convs.0.conv.bias; 1 left over: neck.more.weight" in told
    assert "1 of another shape: bbox_head.retina_cls.bias [9], needs [720]" in told


def test_published_configs_are_imported_or_it_is_said_why_not(tmp_path: Path):
    new, old = tmp_path / "new", tmp_path / "old"
    given = ROWS[f"{FASTER}__groie_table"]
    path, path_2 = new / given.config, old / "faster_rcnn" / f"{FASTER}.py"
    for folder in (path.parent, path_2.parent):
        folder.mkdir(parents=True)
    folders = {"3x": new, "2x": old}
    path.write_text(FASTER_RCNN_3)
    row = look(given, folders)
    assert (row.imported_3x, row.imported_2x, row.done) == ("yes", "none", True)
    path_2.write_text(FASTER_RCNN_2.replace("score_thr=0.05", "score_thr=0.1"))
    path.write_text(FASTER_RCNN_3.replace("'FPN'", "'Other'"))
    row = look(given, folders)
    assert row.imported_2x == "box_head.threshold: 0.1 / 0.05"
    assert row.imported_3x.startswith("refused: ")
    assert "Other" in row.imported_3x
    assert str(tmp_path) not in row.imported_3x
    assert row.wrong().keys() == {"imported_3x", "imported_2x"}
    assert look(replace(given, name="a", config_2x=FASTER), folders).imported_2x == row.imported_2x


def test_the_command_sums_up_and_with_patterns_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    report = tmp_path / "zoo.csv"
    monkeypatch.setattr("tests.zoo.REPORT", report)
    chosen = tuple(ROWS[name] for name in (RETINANET, "imagenet_cls_resnet101", "ssd300_coco__pisa_baseline"))
    monkeypatch.setattr("tests.zoo.published_rows", lambda: chosen)
    monkeypatch.setattr("tests.zoo.paddle_rows", lambda: ())
    assert main(["retinanet*"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "   1 of   1  RetinaNet (Focal Loss)"
    assert not report.exists()
    assert main([]) == 0
    assert "   2 of   2  all\nrows done, of those of detectors; 1 more" in capsys.readouterr().out
    with report.open(newline="") as file:
        assert list(csv.DictReader(file)) == [asdict(look(given, NOWHERE)) for given in chosen]
    with pytest.raises(SystemExit):
        main(["--new", str(tmp_path / "none")])


def test_a_summary_counts_what_is_done():
    rows = [Row("a", "B", ""), Row("b", "A", "", "b", "yes", "yes", "none", "published otherwise: rpn.border: 0 / 1")]
    rows += [Row("c", "B", "", "c", "1 missing", "yes", "yes", "yes"), Row("d", "B", "", "", CLASSIFIER)]
    assert summary(rows) == ["   1 of   1  A", "   0 of   2  B", "   1 of   3  all"]


def test_the_lists_are_made_from_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("ROWS", "PARAMETERS"):
        monkeypatch.setattr(published, name, tmp_path / name)
    table, lists = tmp_path / "table.csv", tmp_path / "lists.json.gz"
    lines = (
        "id,zoo,system,config_url,mmdet3_config,notes",
        "a_1x,mmdet,A,https://x.org/configs/a/a_old%2B1x.py,a/a.py,",
        "a_1x__b,mmdet,B,,a/a.py,dup_of=a_1x; a copy",
        "a_1x__c,mmdet,C,,a/a.py,baseline row of the table",
        "d,mmdet,C,,,\"pictures, not a detector row\"",
        "e,other,C,,,",
    )  # fmt: skip
    table.write_text("\n".join(lines))
    with gzip.open(lists, "wt") as file:
        json.dump({"a/a.py": {"parameters": 2, "state": {"w": [2]}}, "b.py": {"same_as": "a/a.py"}}, file)
    assert published.main([str(table), str(lists)]) == 0
    with (tmp_path / "ROWS").open(newline="") as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == [
            ["a_1x", "A", "a/a.py", "a_old+1x", "", "yes"],
            ["a_1x__b", "B", "a/a.py", "", "a_1x", "yes"],
            ["a_1x__c", "C", "a/a.py", "", "a_1x", "yes"],
            ["d", "C", "", "", "", "no"],
        ]
    assert json.loads(lzma.decompress((tmp_path / "PARAMETERS").read_bytes())) == {
        "a/a.py": {"w": [2]},
        "b.py": "a/a.py",
    }
    assert published.main([]) == 2


def test_paddles_rows_are_whole():
    rows = paddle_rows()
    assert len({row.name for row in rows}) == len(rows) == 98
    assert sum(row.name.startswith("pdold_") for row in rows) == 77
    assert all(published_paddle.parameters_of(row) for row in rows if row.model)
    assert all(published_paddle.settings_of(row) for row in rows if row.model.startswith("static/"))
    assert look_paddle(PaddleRow("pd_nothing", "Nothing", "a.yml", "")) == Row("pd_nothing", "Nothing", "a.yml")


def test_what_is_wrong_with_paddles_models_is_told():
    recipe = detzoo.find(FASTER)
    row = next(row for row in paddle_rows() if row.model == "mask_rcnn_r50_fpn_1x_coco")
    shapes = dict(published_paddle.parameters_of(row) or {})
    assert "12 left over: mask_head.head." in parameters(recipe, shapes, of_paddle=True)
    boxes = {name: shape for name, shape in shapes.items() if not name.startswith("mask_head.")}
    assert parameters(recipe, boxes, of_paddle=True) == "yes"
    assert imported_paddle(None, recipe) == "none"
    assert imported_paddle({"architecture": "Nothing"}, recipe).startswith(
        "refused: the config: architecture='Nothing'"
    )
    assert "rpn.min_size: 1.0 / 0.0" in imported_paddle(yaml.safe_load(FASTER_RCNN), recipe)


def test_paddles_lists_are_made_from_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("ROWS", "MODELS"):
        monkeypatch.setattr(published_paddle, name, tmp_path / name)
    table = tmp_path / "table.csv"
    table.write_text(
        "id,zoo,system,paddle_config\n"
        "pd_a,paddle-dygraph,A,configs/a.yml\npdold_b__s320,paddle-static,B,release/0.2:configs/b.yml\nc,mmdet,C,\n"
    )
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "b.json").write_text(json.dumps({"state": {"w": [2]}, "model": {"architecture": "B"}}))
    rows = [
        {"config": "configs/a.yml", "head_fixture": "a"},
        {"config": "release/0.2:configs/b.yml", "static_fixture": "static/b", "head_fixture": "a"},
    ]
    (tmp_path / "_manifest_map.json").write_text(json.dumps(rows))
    assert published_paddle.main([str(table), str(tmp_path)]) == 0
    with (tmp_path / "ROWS").open(newline="") as file:
        assert [list(row.values()) for row in csv.DictReader(file)] == [
            ["pd_a", "PaddleDetection: A", "configs/a.yml", ""],
            ["pdold_b__s320", "PaddleDetection 0.x: B", "release/0.2:configs/b.yml", "static/b"],
        ]
    assert json.loads(lzma.decompress((tmp_path / "MODELS").read_bytes())) == {
        "static/b": {"state": {"w": [2]}, "model": {"architecture": "B"}}
    }
    assert published_paddle.main([]) == 2
