"""The files that a config inherits from: beside it, or in MMDetection's folder of configs."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from detzoo.config import ConfigError
from detzoo.interop.mmdet.literals import with_own_names
from detzoo.interop.mmdet.scope import BASE
from detzoo.typed import either

_SUFFIXES = (".py", ".json")


def named_bases(tree: ast.Module, name: str) -> tuple[str, ...]:
    """What a file inherits from: the value of ``_base_``, which is a literal.

    Raises:
        ConfigError: it is none.
    """
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == BASE:
                try:
                    named = ast.literal_eval(value)
                except (ValueError, TypeError, RecursionError, MemoryError):
                    named = None  # which no base is
                return base_names(named, name, node.lineno)
    return ()


def base_names(value: object, name: str, line: int) -> tuple[str, ...]:
    """The paths in the value of ``_base_``.

    Raises:
        ConfigError: it is neither a path nor a list of paths.
    """
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        raise ConfigError(f"{name}:{line}: {BASE} is a path or a list of paths")
    return tuple(with_own_names(one, name) for one in names)


def base_file(path: Path, base: str, configs: Path | None) -> Path:
    """The file that ``path`` calls ``base`` in its ``_base_``.

    Args:
        path: the config.
        base: a path from there, or ``mmdet::`` and a path in MMDetection's folder of configs.
        configs: that folder; None: the one of an installed MMDetection, which is not imported.

    Raises:
        ConfigError: there is no such file.
    """
    package, mark, rest = base.partition("::")
    if "://" in base or (mark and package != "mmdet"):
        raise ConfigError(f"{path}: inherits from {base[:80]!r}, which is no file here; copy it beside this one")
    if mark:
        tried = [PurePosixPath(rest)]
    else:
        where = path.parent / base
        if where.suffix in _SUFFIXES and _is_file(where):
            return where
        tried = list(_inside(PurePosixPath(base)))
    return _found(path, base, [one for one in tried if one.suffix in _SUFFIXES], configs)


def base_module(path: Path, module: str, level: int, configs: Path | None) -> Path:
    """The file that a new-style config imports with ``with read_base()``.

    Args:
        path: the config.
        module: what it imports from, e.g. ``_base_.models.retinanet_r50_fpn`` or ``mmdet.configs.rpn.rpn_r50``.
        level: how many dots are before it.
        configs: as of `base_file`.

    Raises:
        ConfigError: there is no such file.
    """
    parts = module.split(".")
    said = f"{'.' * level}{module}"
    if level:
        where = path.parent.joinpath(*[".."] * (level - 1), *parts).with_suffix(".py")
        if _is_file(where):
            return where
        return _found(path, said, [PurePosixPath(*parts).with_suffix(".py")], configs)
    if parts[:2] != ["mmdet", "configs"] or len(parts) < 3:
        raise ConfigError(f"{path}: inherits from {said[:80]!r}, which is no file here; copy it beside this one")
    return _found(path, said, [PurePosixPath(*parts[2:]).with_suffix(".py")], configs)


def _inside(base: PurePosixPath) -> Iterator[PurePosixPath]:
    """Where in a folder of configs a path may point that leads out of the config's own folder."""
    parts = [part for part in base.parts if part not in ("..", ".")]
    if not base.is_absolute() and parts:
        yield PurePosixPath(*parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] == "configs":
            yield PurePosixPath(*parts[index + 1 :])


def _found(path: Path, base: str, tried: list[PurePosixPath], configs: Path | None) -> Path:
    if configs is not None and not configs.is_dir():
        raise ConfigError(f"there is no folder {configs}, which was given as MMDetection's folder of configs")
    for folder in _folders(configs):
        for one in tried:
            if _is_file(folder / one):
                return folder / one
    folders = "" if configs is None else f", nor in {configs}"
    raise ConfigError(
        f"{path}: inherits from {base[:200]!r}, but there is no such .py or .json file{folders}"
        f"{'' if configs is not None else f'; {_mend()}'}"
    )


def _folders(configs: Path | None) -> Iterator[Path]:
    """The folders of configs: in the given folder, which may be a checkout; else of what is installed."""
    if configs is not None:
        yield from (configs, configs / "configs", configs / ".mim" / "configs")
        yield from (configs / "mmdet" / "configs", configs / "mmdet" / ".mim" / "configs")
        yield configs.parent / "mmdet" / "configs"  # of new-style configs, beside the others
        return
    try:
        spec = importlib.util.find_spec("mmdet")  # which imports nothing
    except (ImportError, ValueError):
        return
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield from (Path(place) / ".mim" / "configs", Path(place) / "configs", Path(place).parent / "configs")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        return False


def _mend() -> str:
    return f"pass MMDetection's folder of configs: {either('configs=DIR', '--configs DIR')}"


__all__ = ["base_file", "base_module", "base_names", "named_bases"]
