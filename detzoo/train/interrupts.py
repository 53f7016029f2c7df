"""Ctrl-C and SIGTERM become one thing: a `KeyboardInterrupt` raised where the training state is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

CAUGHT = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Catches both signals while it is entered; elsewhere than in the main thread it does nothing.

    Attributes:
        requested: a signal came and has not been acted on.
        whole: the weights belong to a finished update; false only while an update is being applied.
        signal: the signal that came last, or None.
    """

    def __init__(self, say: Callable[[str], object], insist: bool = True) -> None:
        """``insist``: a second signal takes effect at once. Launchers repeat signals, so not with several ranks."""
        self.requested = False
        self.whole = True
        self.signal: int | None = None
        self._say = say
        self._insist = insist
        self._held = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in CAUGHT:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if not self._held or (self.requested and self._insist):
            raise KeyboardInterrupt
        if not self.requested:
            self.requested = True
            self._say("stopping after this step; once more to stop at once" if self._insist else "stopping")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, a signal only sets ``requested``, so that a step is finished before the run stops."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def check(self) -> None:
        """Act on a signal that came while it was held.

        Raises:
            KeyboardInterrupt: one did.
        """
        if self.requested:
            raise KeyboardInterrupt


__all__ = ["Interrupts"]
