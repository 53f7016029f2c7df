"""What the docs show works: blocks marked ``python runnable`` are run, and commands, links and names are known."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

import detzoo
from benchmarks import front_page
from detzoo.commands.options import parse
from detzoo.config import override
from detzoo.data.shapes import picture
from tests.parity.rungs import RUNGS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[str, str]]:
    """What stands behind the language, and the code, of each block."""
    return [(mark.strip(), code) for found, mark, code in BLOCK.findall(page.read_text()) if found == language]


WITH_CODE = [page for page in PAGES if any(mark == "runnable" for mark, _ in blocks(page, "python"))]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the docs speak of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for path in ("street.jpg", "photos/one.jpg", "photos/two.png"):
        Image.fromarray(picture("shapes/val/1")).save(tmp_path / path)
    detzoo.build("mask_rcnn_r18_fpn_shapes").save("runs/demo/run/best.safetensors")
    return tmp_path


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_runnable_code_runs(page: Path, place: Path) -> None:
    names: dict[str, object] = {}
    for number, (mark, code) in enumerate(blocks(page, "python")):
        if mark == "runnable":
            exec(compile(code, f"{page.name}, block {number}", "exec"), names)
    made = {"predict.md": "found.jpg", "finetune.md": "runs/mine/curves.png", "evaluate.md": "report.json"}
    assert (place / made[page.name]).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_all_code_is_python_and_all_names_are_known(page: Path) -> None:
    for _, code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "detzoo":
                assert node.attr in detzoo.__all__, f"{page.name}: detzoo.{node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(page: Path) -> None:
    text = page.read_text()
    lines = [line for _, code in blocks(page, "sh") for line in code.splitlines()]
    lines += [
        f"detzoo {rest}"
        for rest in re.findall(r"`detzoo ((?:list|show|train|evaluate|predict|convert|export)\b[^`]*)`", text)
    ]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[:1] != ["detzoo"] or "NAME" in words or words[1:] in (["train"], ["show"], ["evaluate"]):
            continue
        options = parse(words[1:])
        if options.command in ("show", "train") and options.name and not options.name.endswith(".json"):
            if "name_r50" in options.name:  # the method that a reader adds
                continue
            made = options.name.endswith(".safetensors")  # a file that the reader has
            override(detzoo.find("mask_rcnn_r50_fpn_1x_coco" if made else options.name), options.overrides)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_in_tables_exist(page: Path) -> None:
    recipe = detzoo.find("mask_rcnn_r50_fpn_1x_coco")
    for words in re.findall(r"`((?:schedule|data|model)\.[^`]*=[^`]*)`", page.read_text()):
        override(recipe, shlex.split(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_make_targets_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"
    for file in re.findall(r"`((?:detzoo|tests|docs)/[\w/.-]+\.(?:py|md))`", text):
        assert (ROOT / file).exists() or "<name>" in file, f"{page.name}: {file}"
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z][a-z-]*)`", text):
        assert f"\n{target}:" in makefile, f"{page.name}: make {target}"


def test_every_form_of_data_names_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs" / "data.md").read_text().splitlines() if line.startswith("| ")]
    forms = [line for line in rows if not line.startswith("| form |")]
    assert len(forms) > 20
    for line in forms:
        (named,) = re.findall(r"`(tests/\w+\.py)::(\w+)`", line) or [("", "")]
        assert named[0], f"no test is named: {line}"
        functions = ast.parse((ROOT / named[0]).read_text(encoding="utf-8")).body
        assert named[1] in [node.name for node in functions if isinstance(node, ast.FunctionDef)], line


def test_every_rung_of_the_ladder_is_explained() -> None:
    table = (ROOT / "docs" / "parity.md").read_text().split("| rung |")[1].split("\n\n")[0]
    explained = [
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    ]
    assert explained == list(RUNGS)


def test_readme_begins_with_three_commands_and_two_of_make() -> None:
    first, second = [code.splitlines() for _, code in blocks(ROOT / "README.md", "sh")[:2]]
    assert [line.split()[:2] for line in first] == [["pip", "install"], ["detzoo", "predict"], ["detzoo", "train"]]
    assert [line.split("#")[0].strip() for line in second] == ["make demo", "make test"]


def test_speed_and_picture_of_the_readme_are_those_in_results() -> None:
    text = front_page.README.read_text(encoding="utf-8")
    assert front_page.BEGIN + front_page.table() + front_page.END in text, "run python -m benchmarks.front_page"
    with Image.open(ROOT / "results" / "front.jpg") as picture:
        assert picture.size == front_page.front().size
