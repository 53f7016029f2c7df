"""Methods of the program's own: settings that a program holds are taken as they are; a file can name none by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from detzoo.detector import Detector, DetectorConfig
from detzoo.suggest import unknown

# what the program has passed in for as long as a call goes on
_passed: ContextVar[tuple[type[Detector], ...]] = ContextVar("passed", default=())


@contextmanager
def knowing(methods: Sequence[type[Detector]]) -> Iterator[None]:
    """Within this, settings in a file may name these methods beside detzoo's own.

    Raises:
        TypeError: one of them is no subclass of `Detector` with its settings as a nested ``Config``.
    """
    for method in methods:
        name_of(method)
    token = _passed.set((*_passed.get(), *methods))
    try:
        yield
    finally:
        _passed.reset(token)


def name_of(method: Any) -> str:
    """What settings call a method.

    Raises:
        TypeError: it is no subclass of `Detector` with its settings as a nested ``Config``.
    """
    shown = getattr(method, "__qualname__", repr(method))
    if not isinstance(method, type) or not issubclass(method, Detector):
        raise TypeError(f"methods takes subclasses of detzoo.Detector, as [Mine], not {shown}")
    config = method.__dict__.get("Config")
    if not isinstance(config, type) or not issubclass(config, DetectorConfig):
        raise TypeError(f"{shown} has no settings: give it a nested class Config(DetectorConfig)")
    field = config.model_fields.get("method")
    if field is None or not isinstance(field.default, str):
        raise TypeError(f'{shown}.Config has no name: give it method: Literal["mine"] = "mine"')
    return field.default


def own_method(config: object) -> type[Detector] | None:
    """The class of the program whose nested ``Config`` these settings are of, or None."""
    classes: list[type[Detector]] = Detector.__subclasses__()
    for method in classes:
        if method.__dict__.get("Config") is type(config):
            return method
        classes += method.__subclasses__()
    return None


def settings_of(methods: Sequence[type[Detector]]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """The validator of a method's settings: those of the program's own methods, or else of the union of ``methods``."""
    listed = {name_of(method): method.__dict__["Config"] for method in methods}

    def validated(value: Any, union: Callable[[Any], Any]) -> Any:
        if isinstance(value, DetectorConfig):
            own = None if type(value) in listed.values() else own_method(value)
            if own is None:
                return union(value)
            if name_of(own) in listed:
                raise ValueError(f"{own.__qualname__} is named {name_of(own)!r} as one of detzoo's: name it otherwise")
            return value
        name = value.get("method") if isinstance(value, dict) else None
        if not isinstance(name, str) or name in listed:
            return union(value)
        for method in _passed.get():
            if name_of(method) == name:
                return method.__dict__["Config"].model_validate(value)
        raise ValueError(
            f"{unknown(name, listed, 'method')}; if it is the program's own, pass its class: "
            "detzoo.load(path, methods=[Mine])"
        )

    return validated
