"""The rules of the house, read from the source and from a training step: docs/architecture.md says why."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import detzoo
from detzoo.detector import Detector
from detzoo.recipes.recipe import METHODS
from tests.tiny import METHOD_IDS, detect, images, targets, tiny

PACKAGE = Path(detzoo.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]

# from the top of the page to its end; what stands in one line knows nothing below it
PAGE = (
    ("__init__",),
    ("ops",),
    (
        "suggest",
        "paths",
        "user_path",
        "config",
        "config_comments",
        "arguments",
        "atomic",
        "overwrite",
        "device",
        "precision",
        "terminal",
        "typed",
        "tta",
        "types",
        "detector",
    ),
    ("pickles",),
    ("blocks",),
    ("backbones",),
    ("necks",),
    ("methods",),
    ("recipes",),
    ("data",),
    ("drawing",),
    ("report",),
    ("evaluate",),
    ("train",),
    ("predict",),
    ("export",),
    ("interop",),
    ("listing",),
    ("demo", "doctor"),
    ("commands",),
    ("cli",),
)
PLACE = {room: number for number, rooms in enumerate(PAGE) for room in rooms}

# This may import from below inside a function: it carries the public words of rooms that build on it. The command
# line imports late to answer --help at once; operators, because Triton is only there with CUDA; exports,
# because onnx is an extra.
LATE_IMPORTS_DOWN = {"detector.py"}
LATE_IMPORTS_UP = {
    "commands/options.py",
    "commands/run.py",
    "doctor.py",
    "export/write.py",
    "ops/nms.py",
    "ops/boxes.py",
    "ops/deform_roi_pool.py",
    "ops/points.py",
    "ops/roi_align.py",
}

LONGEST_FILE, LONGEST_METHOD, MOST_FILES = 500, 400, 12
HOT_ROOMS = ("methods", "blocks", "backbones", "necks")
HOT_FILES = [path for path in FILES if path.relative_to(PACKAGE).parts[0] in HOT_ROOMS]
METHOD_FILES = [path for path in FILES if path.parent.name == "methods" and path.name != "__init__.py"]
WAITS = {"item", "tolist", "nonzero", "cpu", "numpy", "argwhere", "unique", "masked_select", "synchronize"}
REDUCTIONS = {"any", "all", "sum", "max", "min"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room(module: str) -> str:
    """``detzoo.blocks.rpn`` -> ``blocks``; ``detzoo`` itself -> ``__init__``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def own_imports(node: ast.AST) -> Iterator[str]:
    """Our modules that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "detzoo")
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        if node.module and node.module.split(".")[0] == "detzoo":
            yield from (
                f"detzoo.{alias.name}" if node.module == "detzoo" and alias.name in PLACE else node.module
                for alias in node.names
            )


def imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """Our modules that a file imports, whether inside a function, and the line."""

    def walk(node: ast.AST, late: bool) -> Iterator[tuple[str, bool, int]]:
        for child in ast.iter_child_nodes(node):
            yield from ((name, late, getattr(child, "lineno", 0)) for name in own_imports(child))
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, late or inside)

    yield from walk(tree(path), False)


def rank_of(path: Path) -> int:
    first = path.relative_to(PACKAGE).parts[0]
    return PLACE[first.removesuffix(".py")]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_up_the_page(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    if name == "__init__.py":
        return  # the public words; test_importing_costs_little sees to it that they are imported late
    wrong = []
    for module, late, line in imports(path):
        assert room(module) in PLACE, f"{name}:{line}: {room(module)} has no place on the page"
        down = PLACE[room(module)] > rank_of(path)
        allowed = (
            late and name in LATE_IMPORTS_DOWN if down else not late or name in LATE_IMPORTS_UP | LATE_IMPORTS_DOWN
        )
        if not allowed:
            wrong.append(f"{name}:{line} imports {module}{' late' if late else ''}")
    assert not wrong


def test_every_room_is_on_the_page() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert rooms == set(PLACE), f"PAGE and detzoo/ differ in {rooms ^ set(PLACE)}"
    drawn = (PACKAGE.parent / "docs/architecture.md").read_text().split("```")[1]
    names = {name.removesuffix(".py") for name in re.findall(r"(?<![`\w])(\w+(?:\.py|/(?= )))", drawn)}
    assert {name.rstrip("/") for name in names} == rooms, "docs/architecture.md draws other rooms"


def test_files_are_short() -> None:
    for name, path in zip(NAMES, FILES, strict=True):
        lines = len(path.read_text().splitlines())
        limit = LONGEST_METHOD if path.parent.name == "methods" else LONGEST_FILE
        assert lines <= limit, f"{name} has {lines} lines; part of it has a subject of its own"


def test_no_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "registry", "registries"}
    parts = {part.removesuffix(".py") for name in NAMES for part in name.split("/")}
    assert not parts & drawers


def test_nothing_registers_itself() -> None:
    """A decorator that fills a table at import time hides where a name comes from; torch's own operators are exempt."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for decorator in map(ast.unparse, node.decorator_list):
                    assert "regist" not in decorator.lower() or path.parent.name == "ops", f"{path.name}: @{decorator}"


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_a_method_holds_parts_and_inherits_from_no_method(method: type[Detector]) -> None:
    assert method.__bases__ == (Detector,)
    assert method.__module__.startswith("detzoo.methods.")
    siblings = [other for other in METHODS if other.__module__ == method.__module__]
    assert siblings == [method], "one file per method"


@pytest.mark.parametrize("path", METHOD_FILES, ids=lambda path: path.name)
def test_method_files_read_in_order(path: Path) -> None:
    """Docstring with the paper; the class with Config, __init__, forward, detect; the renaming table last."""
    module = tree(path)
    assert "arXiv:" in (ast.get_docstring(module) or "")
    (method,) = [node for node in module.body if isinstance(node, ast.ClassDef) and _is_detector(node)]
    members = [_member(node) for node in method.body]
    order = [members.index(name) for name in ("Config", "__init__", "forward", "detect", "published_names")]
    assert order == sorted(order), members
    assert members[-1] == "published_names"


def _is_detector(node: ast.ClassDef) -> bool:
    return "Detector" in [ast.unparse(base) for base in node.bases]


def _member(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else ""


@pytest.mark.parametrize("path", HOT_FILES, ids=lambda path: path.name)
def test_nothing_waits_for_the_device(path: Path) -> None:
    """No call that brings values to the host between the network's input and its result."""
    wrong = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WAITS:
            wrong.append(f"{path.name}:{node.lineno} calls .{node.func.attr}()")
        if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            wrong += [f"{path.name}:{node.lineno} branches on .{name}()" for name in _reduced(node.test)]
    assert not wrong


def _reduced(test: ast.expr) -> list[str]:
    """Reductions of a tensor that a condition asks for."""
    calls = [node.func for node in ast.walk(test) if isinstance(node, ast.Call)]
    return [call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in REDUCTIONS]


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_no_shape_depends_on_values(method: type[Detector]) -> None:
    """Losses and detections of tensors that have shapes but no values: whatever asked for a value would raise."""
    real = images(), targets(3, 0)
    detector = tiny(method)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = [_fake(value, mode) for value in real]
        losses = detector.train()(*fake)
        assert all(value.shape == () for value in losses.values())
        with torch.no_grad():
            found = detect(detector.eval(), fake[0])
    assert found.boxes.shape[::2] == (2, 4)


def _fake(value: Any, mode: FakeTensorMode) -> Any:
    if isinstance(value, Tensor):
        return mode.from_tensor(value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return type(value)(**{field.name: _fake(getattr(value, field.name), mode) for field in dataclasses.fields(value)})


@pytest.mark.parametrize("method", METHODS, ids=METHOD_IDS)
def test_a_reader_meets_at_most_twelve_files(method: type[Detector]) -> None:
    detector = tiny(method).train()
    batch = images(), targets(2, 1)
    met: set[str] = set()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
            met.add(str(Path(frame.f_code.co_filename).relative_to(PACKAGE)))

    sys.setprofile(look)
    try:
        detector(*batch)
    finally:
        sys.setprofile(None)
    assert 3 <= len(met) <= MOST_FILES, sorted(met)


def test_importing_costs_little() -> None:
    """The package, its command line and the names of the zoo: nothing outside of the standard library."""
    code = "import sys, detzoo, detzoo.cli; assert len(detzoo.names('ssd*')) > 2; "
    code += "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    command = [sys.executable, "-S", "-c", code]  # -S: where no library is installed
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True, cwd=PACKAGE.parent)
    assert set(done.stdout.split()) == {"__main__", "detzoo"}


def test_finding_a_recipe_costs_torch_and_little_more() -> None:
    code = "import sys, torch; before = {*sys.modules}; import detzoo; detzoo.find('ssd300_coco'); "
    code += "print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True, text=True)
    new = done.stdout.split()
    assert not [name for name in new if name.startswith("torch.")], "torch._dynamo and torch.onnx take a second each"
    libraries = {name.partition(".")[0] for name in new} - set(sys.stdlib_module_names)
    libraries = {name for name in libraries if not name.startswith("_sysconfigdata")}  # Python's, named by the platform
    assert libraries <= {"detzoo", "pydantic", "pydantic_core", "annotated_types", "typing_inspection", "safetensors"}


@pytest.mark.parametrize("name", detzoo.__all__)
def test_public_words_are_there(name: str) -> None:
    word = getattr(detzoo, name)
    assert word is not None
    assert name in dir(detzoo)
    if callable(word):
        assert word.__doc__, f"detzoo.{name} has no docstring"


def test_unknown_public_word() -> None:
    with pytest.raises(AttributeError, match="no attribute 'registry'"):
        _ = detzoo.registry  # pyright: ignore[reportAttributeAccessIssue] # that is the test


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("__init__.py")])
def test_public_functions_have_docstrings_and_tensors_have_shapes(name: str) -> None:
    """Where a public function of the tensor rooms takes or gives tensors, its docstring, its class's or its file's
    says in which shape."""
    path = PACKAGE / name
    module = tree(path)
    shapes_wanted = path.parent.name in {"ops", "blocks"}
    for node, context in _public_functions(module):
        text = ast.get_docstring(node) or ""
        assert text, f"{name}: {node.name} has no docstring"
        signature = [node.returns, *(argument.annotation for argument in (*node.args.args, *node.args.kwonlyargs))]
        raw_tensors = [part for part in signature if part is not None and ast.unparse(part) == "Tensor"]
        if shapes_wanted and len(raw_tensors) > 0:
            assert any(mark in text + context for mark in ("[", "shape", "scalar", "same arguments")), (
                f"{name}: {node.name} says no shape"
            )


def _public_functions(module: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Functions without a leading underscore, with the docstring of the class around them."""
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node, ""
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for child in node.body:
                if isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
                    yield child, ast.get_docstring(node) or ""


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, path in zip(NAMES, FILES, strict=True) if not ast.get_docstring(tree(path))]
    assert not silent


def test_every_module_imports() -> None:
    """Also those that no other imports; Triton's is only there with CUDA."""
    for name in NAMES:
        if not name.endswith(("__init__.py", "_triton.py")):
            importlib.import_module("detzoo." + name.removesuffix(".py").replace("/", "."))
