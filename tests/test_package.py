"""The wheel: what is in it, what it says of itself, and that it answers from a place of its own."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import detzoo

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built here without any download: the build backend is among the tools of development."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def described(wheel: Path) -> Message:
    """The wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_has_all_that_is_needed_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"detzoo/py.typed", "detzoo/templates/demo.html", "detzoo/templates/report.html", "detzoo/cli.py"} <= names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "detzoo").rglob("*.py")}
    assert sources <= names
    assert {name.split("/")[0] for name in names} == {"detzoo", f"detzoo-{detzoo.__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name]
    assert wheel.stat().st_size < 2_000_000
    assert wheel.name == f"detzoo-{detzoo.__version__}-py3-none-any.whl"


def test_the_wheel_says_what_it_needs(described: Message) -> None:
    assert described["Requires-Python"] == ">=3.11"
    assert described["License-Expression"] == "Apache-2.0"
    needed = {one.name: one for one in map(Requirement, described.get_all("Requires-Dist") or []) if one.marker is None}
    assert needed["torch"].specifier.contains("2.11.0")
    assert not needed["torch"].specifier.contains("2.10.0")
    assert {"torchvision", "numpy", "pydantic", "pillow", "safetensors", "hotcoco", "jinja2"} <= set(needed)
    assert not {"pytest", "opencv-python-headless", "pycocotools"} & set(needed)
    assert "make demo" in str(described.get_payload())


def test_the_installed_wheel_answers(wheel: Path, tmp_path: Path) -> None:
    """In a fresh environment that sees this one's libraries, but not this folder; `make wheel-check` installs all."""
    fresh = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(fresh)], check=True, timeout=120)
    python = fresh / "bin" / "python"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        str(wheel),
    ]
    subprocess.run(command, check=True, timeout=120)
    answers = subprocess.run(
        [str(fresh / "bin" / "detzoo"), "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert answers.stdout.strip() == f"detzoo {detzoo.__version__}"
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    code = "import detzoo, detzoo.demo; print(detzoo.__file__, len(detzoo.names()))"
    where = subprocess.run(
        [str(python), "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": libraries},
    )
    file, count = where.stdout.split()
    assert Path(file).is_relative_to(fresh)
    assert int(count) == len(detzoo.names())


def test_tools_and_continuous_integration_agree() -> None:
    makefile = (ROOT / "Makefile").read_text()
    ci = (ROOT / ".ci" / "run").read_text()
    assert "make check" in ci
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    check = makefile.split("\ncheck:")[1].split("\n\n")[0]
    assert [line.split("/")[-1].strip() for line in check.splitlines()[1:4]] == [
        "ruff format --check .",
        "ruff check .",
        "pyright",
    ]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]


@pytest.mark.parametrize("word", ["train", "evaluate"])
def test_signatures_stay_right_after_use(word: str) -> None:
    """`detzoo.train` is a package, too, once something in it was imported."""
    code = f"import inspect, detzoo, detzoo.{word}; import detzoo.train.loop, detzoo.evaluate.run; "
    code += f"print([p.name for p in inspect.signature(detzoo.{word}).parameters.values()][:2])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert "'data'" in done.stdout
