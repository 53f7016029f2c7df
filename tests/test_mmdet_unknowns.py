"""Python in configs that is not evaluated: what it may have changed is unknown, all else is what Python gives."""

from __future__ import annotations

import random
import re
import sys
import types
from typing import Any

import pytest

from detzoo.config import ConfigError
from detzoo.interop.mmdet.configs import read_text
from detzoo.interop.mmdet.importer import read_config
from detzoo.interop.unknowns import REST, Settings, Unknown
from tests.mmdet_files import RETINANET_2

# each stands in front of a config, and detections do not depend on it
HARMLESS = {
    "import": "import os\nimport os.path as osp\nfrom datetime import datetime\nfrom mmcv import Config\n",
    "join": (
        "import os\n"
        "work_dir = os.path.join('work_dirs', os.getenv('NAME'), 'x')\n"
        "data_root = os.path.expanduser('~/data')\n"
    ),
    "time": ("import time, datetime\nwork_dir = f'./{datetime.datetime.now():%Y%m%d}'\nstamp = time.strftime('%H')\n"),
    "percent": "name = 'x'\nwork_dir = './work_dirs/%s_%d' % (name, 3)\n",
    "format": "name = 'x'\nwork_dir = './work_dirs/{}'.format(name)\nother = '{:03d}'.format(3)\n",
    "f-string": "epochs = 12\nwork_dir = f'runs/{epochs:03d}_{epochs!r}'\n",
    "environment": "import os\ngpus = int(os.environ.get('GPUS', 8))\nroot = os.environ['DATA'] + '/coco'\n",
    "learning rate": (
        "import os\n"
        "lr = 0.01 * int(os.getenv('GPUS', '1')) / 8\n"
        "optimizer = dict(type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4)\n"
    ),
    "hooks": (
        "import my\ncustom_hooks = [dict(type=my.Hook, when=lambda runner: True)]\nlog_config = dict(hooks=[my.f()])\n"
    ),
    "palette": (
        "import random\npalette = [(random.randint(0, 255), 0, 0) for _ in range(3)]\nmeta = dict(palette=palette)\n"
    ),
    "print": "print('starting', 3)\nimport sys\nsys.path.insert(0, '.')\n",
    "def": "def double(x):\n    return 2 * x\nbatch = double(4)\nclass Mine:\n    model = 3\n",
    "decorated": (
        "from mmdet.datasets import PIPELINES\n"
        "@PIPELINES.register_module()\n"
        "class Mine:\n"
        "    def __call__(self, results):\n"
        "        return results\n"
    ),
    "try": "try:\n    import albumentations as A\nexcept ImportError:\n    A = None\nflag = A is not None\n",
    "with": "with open('classes.txt') as file:\n    labels = [line.strip() for line in file]\n",
    "del and assert": "scratch = 3\nassert scratch == 3, 'no'\ndel scratch\n",
    "loop": ("steps = []\nfor i in range(3):\n    steps.append(i * 2)\nfor name in ['a', 'b']:\n    print(name)\n"),
    "loop over unknown": "import glob\nfiles = []\nfor one in glob.glob('*.json'):\n    files.append(one)\n",
    "while": "n = 0\nwhile n < 3:\n    n += 1\n",
    "lambda": "key = lambda name: name.split('.')[0]\nrun = key('a.b')\n",
    "comprehension": ("import os\nfiles = {one: len(one) for one in os.listdir('.') if one.endswith('.json')}\n"),
    "if": "import os\nif os.path.exists('/data'):\n    root = '/data'\nelse:\n    root = 'data'\n",
    "main": "if __name__ == '__main__':\n    model = None\n    print(model)\n",
    "typed": "epochs: int = 12\nlr: float\nepochs += 1\n",
    "set": "names = {'a', 'b'}\nnumber = 1j\nraw = b'x'\nrest = ...\n",
    "walrus": "print(total := 3)\n",
    "file": "import os\nhere = os.path.dirname(__file__)\n",
}


@pytest.fixture(scope="module")
def plain() -> Any:
    return read_config(read_text(RETINANET_2, "config.py")).recipe.model


@pytest.mark.parametrize("name", HARMLESS)
def test_python_that_detections_do_not_depend_on_is_no_matter(name: str, plain: Any) -> None:
    assert read_config(read_text(HARMLESS[name] + RETINANET_2, "config.py")).recipe.model == plain


NEEDED = {
    "call": (
        "import os\ndepth = int(os.getenv('DEPTH'))\nmodel['backbone']['depth'] = depth",
        r"model\.backbone\.depth is not known here, because of config\.py:\d+: the call 'os\.getenv\(\.\.\.\)'",
    ),
    "whole": (
        "from mine import model",
        r"model is not known here, because of .*'mine\.model'",
    ),
    "function": (
        "def change(m):\n    m['backbone']['depth'] = 101\nchange(model)",
        r"model is not known.*'def change'",
    ),
    "function of a global": (
        "def change():\n    model['backbone']['depth'] = 101\nchange()",
        r"model is not known.*'def change'",
    ),
    "alias": (
        "import mine\ninner = model['backbone']\nmine.change(inner)",
        r"model\.backbone is not known.*'mine\.change",
    ),
    "update": (
        "import mine\nmodel.update(mine.more)",
        r"model\.\S+ is not known.*'mine\.more'",
    ),
    "spread": (
        "import mine\nmodel['bbox_head'] = dict(num_classes=80, **mine.head)",
        r"bbox_head\.\S+ is not known.*mine\.head",
    ),
    "branch": (
        "import torch\nif torch.cuda.is_available():\n    model['backbone']['depth'] = 101",
        r"model is not known.*cuda\.is_available",
    ),
    "try": (
        "try:\n    model['backbone']['depth'] = 101\nexcept KeyError:\n    pass",
        r"model is not known.*'try'",
    ),
    "star": (
        "from mine import *",
        r"model is not known.*'from mine import \*'",
    ),
    "globals": (
        "globals()['model']['backbone']['depth'] = 101",
        r"model is not known.*'globals'",
    ),
    "pipeline": (
        "import mine\ndata['test']['pipeline'].append(mine.step)",
        r"pipeline is not known.*mine\.step",
    ),
    "type": (
        "class RetinaNet:\n    pass\nmodel['type'] = RetinaNet",
        r"model\.type is not known.*'class RetinaNet'",
    ),
    "percent": (
        "model['backbone']['style'] = '%storch' % 'py'",
        r"model\.backbone\.style is not known.*this operation",
    ),
}


@pytest.mark.parametrize("name", NEEDED)
def test_python_that_the_model_depends_on_is_refused_with_the_reason(name: str) -> None:
    text, message = NEEDED[name]
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(read_text(RETINANET_2 + "\n" + text + "\n", "config.py"))
    assert "work_dirs/NAME/NAME.py or a .pth that it saved" in str(caught.value)


def test_what_is_known_is_what_python_gives() -> None:
    """Programs by chance, in which functions that are not evaluated change, keep and give back what they get."""
    chance = random.Random(3)
    known = 0
    for _ in range(300):
        program, values = _program(chance)
        known += _compared(read_text(program, "file.py"), values, program)
    assert known > 300


def _stranger() -> types.ModuleType:
    module = types.ModuleType("stranger")
    kept: list[Any] = []

    def change(*values: Any) -> Any:
        for value in values:
            if isinstance(value, dict):
                value["a"] = 99
                for inner in value.values():
                    change(inner)
            elif isinstance(value, list) and len(value) < 9:
                value.append(98)
        return values[0] if values else None

    def keep(value: Any) -> Any:
        kept.append(value)
        return {"held": value}

    def later() -> Any:
        for value in kept:
            change(value)
        return kept[-1] if kept else 0

    module.__dict__.update(change=change, keep=keep, later=later, one=1, yes=True, more={"a": 97, "z": [1]}, key="a")
    return module


_NAMES = ("p", "q", "r", "s")
_EXPRESSIONS = (
    *("1", "'a'", "[1, 2]", "dict(a=1, b=[3])", "{'a': {'a': 2}}", "N", "N", "[N, N]", "dict(a=N, c=N)", "N['a']"),
    *("N[0]", "stranger.one", "stranger.change(N)", "stranger.keep(N)", "stranger.later()", "N if stranger.yes else N"),
    *("N and N", "N or N", "not N", "[x for x in N]", "{x: N for x in N}", "dict(**N)", "dict(N, a=5)", "[*N, 1]"),
    *("{**N, 'a': 4}", "N + N", "len(N)", "copy.deepcopy(N)", "copy.copy(N)", "N.get('a')", "N.pop('a', 3)", "N == N"),
    *(
        "'a' in N",
        "list(N)",
        "N.copy()",
        "N[stranger.key]",
        "N.setdefault('a', N)",
        "N.items()",
        "local(N)",
        "keeper(N)",
    ),
    *("(lambda x: stranger.change(N))(1)", "N[1:]", "f'{N}'", "max(N, N)", "sorted(N)", "stranger.more", "N * 2"),
    *("[x for x in N if x]", "[stranger.change(x) for x in N]", "(N, N)", "{**stranger.more, **N}", "N is None"),
)
_STATEMENTS = (
    *("N = E", "N = E", "N = E", "N['a'] = E", "N['a']['a'] = E", "N[0] = E", "N += E", "N.append(E)", "N.update(E)"),
    *(
        "N.update(a=E)",
        "N[stranger.key] = E",
        "del N['a']",
        "N, N = E, E",
        "N, N = E",
        "stranger.change(N)",
        "local(N)",
    ),
    *(
        "if E:\n    N = E\nelse:\n    N['a'] = E",
        "for x in list(E):\n    N = x",
        "for x in list(E):\n    N.append(x)",
        "N.extend(E)",
    ),
    *(
        "try:\n    N = E\nexcept Exception:\n    N = E",
        "while stranger.one > 1 or not N:\n    N = E\n    break",
        "N.pop()",
    ),
    *(
        "for x in list(E):\n    x['a'] = E",
        "def local(v):\n    N.update(a=96)\n    return N",
        "N.insert(0, E)",
        "glob()",
        "N.a = 1",
    ),
    *(
        "def glob():\n    global N\n    N = E",
        "if stranger.yes:\n    N = E",
        "N: dict = E",
        "assert stranger.change(N) or 1",
    ),
    *("N = stranger.keep(N)", "stranger.later()", "from stranger import more as N", "N['a'] += E", "N.merge(E)"),
)


_BEGIN = """
import copy, stranger
def local(v):
    v['a'] = 95
def keeper(v):
    return [v, p]
def glob():
    pass
p = dict(a=dict(a=1, b=[1]), b=[1, dict(a=2)])
q = [1, 'a']
r = 'a'
s = [dict(a=1), p]
"""


def _program(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """A program that Python runs, and what it gives."""

    def filled(text: str, depth: int = 0) -> str:
        return re.sub(
            r"\b[NE]\b",
            lambda mark: (
                chance.choice(_NAMES)
                if mark[0] == "N" or depth == 2
                else filled(chance.choice(_EXPRESSIONS), depth + 1)
            ),
            text,
        )

    program, values = _BEGIN, _run(_BEGIN)
    assert values is not None
    for _ in range(12):
        longer = program + filled(chance.choice(_STATEMENTS)) + "\n"
        found = _run(longer)
        if found is not None:
            program, values = longer, found
    return program, values


def _run(program: str) -> dict[str, Any] | None:
    values: dict[str, Any] = {"__name__": "config"}
    sys.modules["stranger"] = _stranger()
    try:
        exec(program, values)
        text = repr({key: value for key, value in values.items() if key != "__builtins__"})
        return None if len(text) > 20_000 or "..." in text else values
    except Exception:
        return None
    finally:
        del sys.modules["stranger"]


def _compared(ours: Any, python: Any, program: str) -> int:
    """How many values are known; each has to be Python's."""
    if isinstance(ours, Unknown):
        return 0
    if isinstance(ours, Settings):
        assert isinstance(python, dict), program
        rest = REST in list(ours)
        names = {key for key in python if not (isinstance(key, str) and key.startswith("__"))}
        names = {key for key in names if not isinstance(python[key], types.ModuleType | types.FunctionType)}
        assert rest or set(ours) >= names, f"{program}\n{set(ours)} {names}"
        return sum(_compared(ours.raw(key), python.get(key), program) for key in list(ours) if key != REST)
    if isinstance(ours, list | tuple):
        python = list(python) if not isinstance(python, str) else python
        assert len(ours) == len(python), f"{program}\n{ours} {python}"
        return sum(_compared(a, b, program) for a, b in zip(ours, python, strict=True))
    assert (type(ours), ours) == (type(python), python), program
    return 1
