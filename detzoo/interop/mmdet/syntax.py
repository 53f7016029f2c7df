"""The syntax tree of a config file, and what one config may cost."""

from __future__ import annotations

import ast
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
        if "\\" not in text:  # only odd escapes in texts are warned of
            return ast.parse(text)
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(f"{name}:{error.lineno or 1}: this is not Python ({error.msg})") from None
    except (RecursionError, MemoryError):
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValueError as error:  # zero bytes
        raise ConfigError(f"{name}: this is not Python ({error})") from None


__all__ = ["MOST_BITS", "MOST_BYTES", "MOST_DEPTH", "MOST_ITEMS", "MOST_STEPS", "Budget", "parse"]
