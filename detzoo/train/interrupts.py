"""Ctrl-C, SIGTERM and SIGHUP become one thing: a `KeyboardInterrupt` raised where the training state is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

# SIGHUP, a closed terminal, is not on Windows
CAUGHT = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupts:
    """Catches the signals while it is entered; elsewhere than in the main thread it does nothing.

    A signal takes effect where the program says so: at `check`, and at any moment inside `welcome`. On the way out a
    `KeyboardInterrupt` that another signal than Ctrl-C's caused becomes the `SystemExit` of that signal.

    Attributes:
        requested: a signal came.
        whole: the weights belong to a finished update; false only while an update is being applied.
        signal: the signal that came last, or None.
    """

    def __init__(self, say: Callable[[str], object], insist: bool = True) -> None:
        """``insist``: a second Ctrl-C takes effect at once. Launchers repeat signals, so not with several ranks."""
        self.requested = False
        self.whole = True
        self.signal: int | None = None
        self._say = say
        self._insist = insist
        self._welcome = self._sealed = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in CAUGHT:
                before = signal.getsignal(number)
                # nohup has a run outlive its terminal by having SIGHUP ignored
                if number in (signal.SIGINT, signal.SIGTERM) or before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before.clear()
        if isinstance(error, KeyboardInterrupt) and self.signal not in (None, signal.SIGINT):
            raise SystemExit(128 + self.signal) from error

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        again, self.requested = self.requested, True
        insists = again and self._insist and number == signal.SIGINT
        if (self._welcome or insists) and not self._sealed:
            raise KeyboardInterrupt
        if not again:
            # the signal may have come while a line was being written: that comes first, this line is not worth more
            with contextlib.suppress(RuntimeError, OSError):
                self._say("stopping after this step; once more to stop at once" if self._insist else "stopping")

    @contextmanager
    def welcome(self) -> Iterator[None]:
        """Inside, a signal takes effect at once: for waiting, and for work that can be thrown away."""
        try:
            self._welcome = True
            self.check()
            yield
        finally:
            self._welcome = False

    @contextmanager
    def sealed(self) -> Iterator[None]:
        """Inside, not even a second signal takes effect: for writing files, which takes seconds."""
        self._sealed = True
        try:
            yield
        finally:
            self._sealed = False

    def check(self) -> None:
        """Act on a signal that came.

        Raises:
            KeyboardInterrupt: one did.
        """
        if self.requested:
            raise KeyboardInterrupt


__all__ = ["Interrupts"]
