"""The syntax tree of a config file, and what one config may cost."""

from __future__ import annotations

import ast
import re
import threading
import warnings

from detzoo.config import ConfigError

MOST_BYTES = 1 << 18  # of one file
MOST_STEPS = 100_000  # nodes evaluated, values copied; of a config with all it inherits from
MOST_ITEMS = 50_000  # of one list, and characters of one computed text
MOST_DEPTH = 60  # of expressions and of values in values
MOST_BITS = 1024  # of one whole number

_FILTERS = threading.Lock()  # the filters of warnings belong to all threads


class Budget:
    """What one config may cost, so that a hostile one is refused at once."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self.steps = steps

    def spend(self, count: int = 1) -> bool:
        """Whether ``count`` more steps are left."""
        self.steps -= count
        return self.steps >= 0


# mmengine's value of an environment variable, whose default need not be quoted; comments and texts are passed over
_VARIABLE = r"\{\{\s*\$[^{}\n]*\}\}"
_TEXTS = (r"#[^\n]*", r"'''.*?'''", r'""".*?"""', r"'(?:\\.|[^'\\\n])*'", r'"(?:\\.|[^"\\\n])*"')
_PIECES = re.compile("|".join([*_TEXTS, _VARIABLE]), re.DOTALL)


def _quoted(text: str) -> str:
    """The same with every variable as a text."""
    return _PIECES.sub(lambda found: repr(found[0]) if found[0].startswith("{{") else found[0], text)


def _parsed(text: str) -> ast.Module:
    if "\\" not in text:  # only odd escapes in texts are warned of
        return ast.parse(text)
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def parse(text: str, name: str) -> ast.Module:
    """The syntax tree of a config file.

    Args:
        text: its content.
        name: what errors call it.

    Raises:
        ConfigError: it is too long, nested too deeply, or not Python; the message names file and line.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{name} has {len(text)} characters; a config has at most {MOST_BYTES}")
    try:
        try:
            return _parsed(text)
        except SyntaxError:
            if "{{" not in text:
                raise
            return _parsed(_quoted(text))
    except SyntaxError as error:
        raise ConfigError(f"{name}:{error.lineno or 1}: this is not Python ({error.msg})") from None
    except (RecursionError, MemoryError):
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:  # zero bytes
        raise ConfigError(f"{name}: this is not Python ({error})") from None


__all__ = ["MOST_BITS", "MOST_BYTES", "MOST_DEPTH", "MOST_ITEMS", "MOST_STEPS", "Budget", "parse"]
