"""Config texts: values as Python would give, and nothing of Python run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from detzoo.config import ConfigError
from detzoo.interop.mmdet import syntax
from detzoo.interop.mmdet.configs import checked, merged, read_file, read_text


def test_what_configs_write_is_what_python_gives() -> None:
    text = """
'''What it is.'''
a = 1
b = 'x'
numbers = [1, -2, +3, 1.5e-3, 2 ** 0.5, 2**10, 7 // 2, 7 % 4, 1 / 9, 3 * 4 - 5, int(1e5), float('inf')]
texts = ['a' 'b', 'c' + b, 'ab' * 2, f'{b}.{a}.weight', 'abcdef'[-5:-1], 'abc'[0], str(3)]
flags = [True, False, None, not a, a == 1, a in numbers, 'x' not in b, None is None, a and b, 0 or b, 1 < 2 <= 2]
chosen = b if a else 3
joined = '/'.join([b, 'y']) + 'A-B'.lower()
odd = [i for i in range(7) if i % 2 if i > 1]
total = sum([1, 2, 3]) + max(4, 5) + min([1, 0]) + abs(-3) + round(2.71)
ordered = sorted(['b', 'a']) + list(reversed([1, 2])) + list(zip([1], [2])) + [dict([('k', 'v')])]
if a > 3:
    branch = 'then'
elif b == 'x':
    branch = 'elif'
more = [1]
again = more
more += [2]
for turn in range(3):
    more.append(turn)
    a_few, *_ignored = 1, 2
more.insert(0, 9)
more.extend((7, 8))
last = more.pop()
left, (right, *_) = 1, (2, 3)
typed: int = 3
typed += 1
had = {'a': 1}.get('a'), {'a': 1}.get('b'), {'a': 1}.get('b', 2), list({'a': 1}.items())
tup = (1, (2, 3), *numbers[:2], )
lists = [1] * 3 + [0, *tup[:1]]
made = dict(type='A', inner=dict(x=[1, 2], y={'z': (1,), **dict(w=2)}), **dict(extra=1))
other = dict({'a': 1}, b=2)
kwargs = dict(b=3)
merged_in = dict(type='Normalize', **kwargs)
depths = [2, 2, 18]
keys = {f'stages.{s}.blocks.{i}': i for s, n in enumerate(depths) for i in range(n)}
squares = [x * 2**(1.0 / 3) for x in [32, 64]]
pairs = [[i, j] for i in range(2) for j in range(3, 9, 3)]
keys.update({f'down.{s}': dict(lr=0.1) for s in range(len(depths) - 1)})
made['inner']['x'][0] = 5
alias = made['inner']
alias['new'] = 'seen in both'
gone = 1
del gone
del made['extra']
taken = other.pop('a')
missing = other.pop('zzz', 7)
count = len(keys)
listed = list((1, 2)) + list(range(3)) + [tuple([1, 2])]
chain = chained = 4
"""
    expected: dict[str, Any] = {}
    exec(text, expected)
    for name in ("__builtins__", "__doc__", "__annotations__"):
        del expected[name]
    assert read_text(text, "here") == expected


def test_old_and_new_ways_to_name_what_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text(
        "size = (4, 2)\nmodel = dict(head=dict(a=1, b=dict(c=2)), steps=[1, 2])\nname = 'x'\nkept = 1\n"
    )
    (tmp_path / "child.py").write_text(
        "_base_ = './base.py'\n"
        "old = {{_base_.size}}\n"
        "quoted = '{{_base_.model.head}}'\n"
        "inside = 'a {{ _base_.name }} b'\n"
        "item = '{{_base_.model.steps.1}}'\n"
        "new = _base_.model.head.b.c + 1\n"
        "own = '{{ fileBasenameNoExtension }}{{fileExtname}}'\n"
        "_base_.model.head.a = 7\n"
        "del _base_.kept\n"
        "model = dict(head=dict(b=dict(c=3)))\n"
    )
    assert read_file(tmp_path / "child.py") == {
        "size": (4, 2),
        "name": "x",
        "model": {"head": {"a": 7, "b": {"c": 3}}, "steps": [1, 2]},
        "old": (4, 2),
        "quoted": {"a": 7, "b": {"c": 2}},  # the inherited dict itself, at the end
        "inside": "a x b",
        "item": 2,
        "new": 3,
        "own": "child.py",
    }


def test_a_file_s_own_name_may_be_part_of_what_it_inherits_from(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("x = dict(a=1, b=[2])\n")
    (tmp_path / "child.py").write_text("_base_ = ['{{ fileDirname }}/base.py']\nwhere = '{{fileDirname}}/data'\n")
    assert read_file(tmp_path / "child.py") == {"x": {"a": 1, "b": [2]}, "where": f"{tmp_path}/data"}


def test_json_may_name_what_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"x": {"a": 1, "b": [2]}}')
    (tmp_path / "child.json").write_text(
        '{"_base_": "{{fileDirname}}/base.json", "y": ["{{_base_.x.b}}", "{{ fileBasename }}", null, -0.5, true]}'
    )
    assert read_file(tmp_path / "child.json") == {
        "x": {"a": 1, "b": [2]},
        "y": [[2], "child.json", None, -0.5, True],
    }
    (tmp_path / "child.json").write_text('{"_base_": "base.json", "y": "{{_base_.z}}"}')
    with pytest.raises(ConfigError, match=r"child\.json:1: 'z' is not a setting there"):
        read_file(tmp_path / "child.json")


def test_a_mark_of_the_encoding_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8-sig")
    assert read_file(tmp_path / "a.py") == {"x": 1}


def test_what_is_inherited_is_merged(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x = dict(p=1, q=dict(r=2, s=[1]), t=dict(u=1))\n_private = 3\n__gone = 1\n")
    (tmp_path / "b.json").write_text('{"y": {"v": [1, 2]}}')
    (tmp_path / "c.py").write_text(
        "_base_ = ['sub/a.py', './b.json']\n"
        "x = dict(q=dict(s=[2]), t=dict(_delete_=True, only=1), fresh=dict(_delete_=True, a=1))\n"
        "y = 'replaced'\n"
    )
    assert read_file(tmp_path / "c.py") == {
        "x": {"p": 1, "q": {"r": 2, "s": [2]}, "t": {"only": 1}, "fresh": {"a": 1}},
        "_private": 3,
        "y": "replaced",
    }


def test_shared_values_are_apart_in_the_result(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("val = dict(p=[1])\ntest = val\n")
    (tmp_path / "b.py").write_text("_base_ = 'a.py'\n_base_.val.p = 3\n")
    assert read_file(tmp_path / "b.py") == {"val": {"p": 3}, "test": {"p": [1]}}


REFUSED = [
    ("x += 1", r"'x' is not a name"),
    ("with read_base():\n    from .a import *", "2: inherits from files that are not at hand"),
    ("x = unknown_name", "'unknown_name' is not a name"),
    ("numbers = 1\nx = nubmers", "did you mean 'numbers'"),
    ("x = dict(a=1)\nx.a.b = 2", "cannot assign to 'x.a.b'"),
    ("x = [1]\nx[5] = 2", "cannot assign"),
    ("del x", "no 'x' to delete"),
    ("x = [1][3]", "there is no item 3"),
    ("x = dict(a=1)['b']", "there is no item 'b'"),
    ("x = 1 / 0", "cannot be computed"),
    ("x = 10.0 ** 1000", "cannot be computed"),
    ("x = (-1) ** 0.5", "cannot be computed"),
    ("x = 9 ** 9 ** 9", "too large"),
    ("x = 2 ** 5000", "too large"),
    ("x = [0] * 10 ** 9", "longer than"),
    ("x = 'a' * 10 ** 9", "longer than"),
    ("x = range(10 ** 9)", "whole numbers|longer than"),
    ("x = range(0, 5, 0)", "whole numbers"),
    ("x = _base_.y", "'y' is not a setting there"),
    ("x = {**[1]}", "a dict is needed"),
    ("x = int('1' * 5)\ny = int('a')", "int cannot take this"),
    ("x = (", "is not Python"),
    ("x = 1\x00", "is not Python"),
    ("_base_ = 'other.py'", "not at hand"),
    ("_base_ = open('x')", "a path or a list of paths"),
    ("_base_ = 3", "a path or a list of paths"),
    ("x = dict()\nx['a'] = x", "nested more than"),
    ("x = []\ny = dict(a=x)\nx = [y]\ny['a'] = x", "nested more than"),
    ("x = yield_", "not a name"),
    ("x = dict(1, 2)", "dict takes one"),
    ("x = dict(a=1).pop('c')", "'c' to take out"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text[:40] for text, _ in REFUSED])
def test_what_is_refused(text: str, message: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigError, match=message) as caught:
        read_text(text, "file.py")
    assert str(caught.value).startswith("file.py:")
    assert time.process_time() - start < 1


UNKNOWN = [
    (
        "x = 1\n\nx = __import__('os').system('true')",
        r"3: the call '__import__\(...\)' is Python, which is never run",
    ),
    ("x = open('/etc/passwd')", "1: the call 'open"),
    ("x = ().__class__", "'....__class__' is Python"),
    ("x = dict.__bases__", "'dict' is Python"),
    ("x = 'a'.format", "'....format' is Python"),
    ("x = '{0.__class__}'.format(1)", "the call '....format"),
    ("x = '%s' % 1", "this operation"),
    ("x = (lambda: 1)()", "'lambda' is Python"),
    ("def x(): pass\nx = x()", "'def x' is Python"),
    ("class x: pass", "'class x' is Python"),
    ("from mine import x", "'mine.x' in file.py, which is never imported"),
    ("x = 1\nwhile x:\n    x = 0", "2: 'while' is Python"),
    ("try:\n  x = 1\nfinally:\n  x = 2", "'try' is Python"),
    ("x = {1, 2}", "a set"),
    ("x = b'bytes'", "not bytes"),
    ("x = 1j", "not complex"),
    ("x = ...", "not ellipsis"),
    ("x = f'{1:>1000000000}'", "only plain"),
    ("x = f'{[1]}'", "a list as part of a text"),
    ("x = '{{$HOME:x}}'", "is not replaced"),
    ("x = {{$HOME:2}}", "is not replaced"),
    ("x = {{ $HOME:/a/b }}  # a place", "is not replaced"),
    ("x = [*print()]", "the call 'print"),
]


@pytest.mark.parametrize(("text", "message"), UNKNOWN, ids=[text[:40] for text, _ in UNKNOWN])
def test_what_is_unknown_is_refused_where_it_is_read(text: str, message: str) -> None:
    values = read_text(text + "\ny = 1", "file.py")
    assert values["y"] == 1
    for read in (lambda: values["x"], lambda: values.get("x"), lambda: list(values.values())):
        with pytest.raises(ConfigError, match=f"x is not known here, because of .*{message}"):
            read()


def test_variables_of_the_environment_leave_the_rest_as_it_is() -> None:
    values = read_text("x = dict(batch={{$BS:2}}, rate=0.1)\ny = [{{ $A:b }}, 1]\nz = 'a {{$B:c}}, d'", "file.py")
    assert values["x"]["rate"] == 0.1
    for read in (lambda: values["x"]["batch"], lambda: values["y"][0], lambda: values["z"]):
        with pytest.raises(ConfigError, match="is not known here"):
            read()
    with pytest.raises(ConfigError, match="this is not Python"):
        read_text("x = {{2}", "file.py")


BOMBS = {
    "doubled lists": "a = [1, 2]\n" + "a = a + a\n" * 40,
    "doubled texts": "a = 'ab'\n" + "a = a + a\n" * 40,
    "lists of the same lists": "a = [1]\n" + "a = [a, a, a, a, a, a, a, a]\n" * 30,
    "dicts of the same dicts": "a = dict()\n" + "a = dict(x=a, y=a)\n" * 50,
    "loops in loops": "a = [1 for a in range(1000) for b in range(1000) for c in range(1000)]",
    "copies of long lists": "a = [0] * 40000\n" + "b = a + [1]\n" * 30000,
    "copies of long texts": "a = 'x' * 40000\nb = [a + 'y' for i in range(40000)]",
    "unpacked over and over": "a = {f'{i}': i for i in range(20000)}\n" + "b = dict(**a)\n" * 30000,
    "brackets": "a = " + "[" * 150 + "]" * 150,
    "signs": "a = " + "-" * 50_000 + "1",
    "sums": "a = 1" + " + 1" * 50_000,
    "attributes": "a = dict()\nb = a" + ".x" * 50_000,
    "powers": "a = 3\n" + "a = a ** 30\n" * 10,
    "long": "a = 1\n" * 300_000,
    "calls": "a = " + "dict(a=" * 190 + "1" + ")" * 190,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str) -> None:
    start = time.process_time()
    with pytest.raises(ConfigError):
        read_text(BOMBS[name], "bomb.py")
    assert time.process_time() - start < 5


def test_braces_without_end_take_no_time() -> None:
    text = "{{" + " " * 40_000 + "}"
    start = time.process_time()
    assert read_text(f"x = '{text}'", "file.py") == {"x": text}
    assert time.process_time() - start < 1


def test_bases_that_are_refused(tmp_path: Path) -> None:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    write("b.py", "_base_ = 'a.py'")
    with pytest.raises(ConfigError, match=r"a\.py: inherits from itself \(a\.py <- b\.py <- a\.py\)"):
        read_file(write("a.py", "_base_ = ['b.py']"))
    for base in (
        "gone.py",
        "/etc/passwd",
        "mmdet::faster_rcnn/x.py",
        "http://host/x.py",
        "../",
        "a.txt",
        "a" * 5000 + ".py",
    ):
        with pytest.raises(ConfigError, match=r"c\.py: inherits from"):
            read_file(write("c.py", f"_base_ = {base!r}"))
    write("d.py", "x = 1\ny = dict(z=1)")
    with pytest.raises(ConfigError, match="x, y comes from more than one of its bases"):
        read_file(write("e.py", "_base_ = ['d.py', './d.py']"))
    with pytest.raises(ConfigError, match="x is a dict, but the inherited value is a int; _delete_=True"):
        read_file(write("f.py", "_base_ = 'd.py'\nx = dict(a=1)"))
    for index in range(60):
        write(f"many_{index}.py", f"_base_ = 'many_{index + 1}.py'")
    with pytest.raises(ConfigError, match="at most 50 files"):
        read_file(tmp_path / "many_0.py")


def test_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"x = 1\n\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_file(path)
    path.write_text("# " + "x" * syntax.MOST_BYTES)
    with pytest.raises(ConfigError, match="a config has at most"):
        read_file(path)
    with pytest.raises(FileNotFoundError, match="no config file at"):
        read_file(tmp_path)
    for name, text, message in (
        ("a.yaml", "x: 1", "YAML is not read"),
        ("a.json", "[1]", "a config is a dict"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[" * 100_000, "not valid JSON"),
        ("a.json", '{"_base_": 3}', "a path or a list"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_file(tmp_path / name)


def test_dicts_are_checked() -> None:
    good: dict[Any, Any] = {"a": [1, (2.0, None)], 3: True}
    assert checked(good) == good
    cases: list[dict[Any, Any]] = [{"a": object()}, {"a": {1, 2}}, {"a": {None: 1}}, {"a": [[b"x"]]}]
    for bad in cases:
        with pytest.raises(
            ConfigError, match=r"a is not known here, because of .*(no config file can hold|is no text)"
        ):
            checked(bad | {"b": 1})["a"]
        assert checked(bad | {"b": 1})["b"] == 1
    circle: dict[str, Any] = {}
    circle["x"] = circle
    with pytest.raises(ConfigError, match="nested more than"):
        checked(circle)


def test_merging_leaves_both_alone() -> None:
    base, changes = {"a": {"b": 1}}, {"a": {"c": {"_delete_": True, "d": [{"_delete_": True, "e": 1}]}}}
    assert merged(base, changes, "here") == {"a": {"b": 1, "c": {"d": [{"e": 1}]}}}
    assert base == {"a": {"b": 1}}
