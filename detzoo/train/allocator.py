"""Memory that a training step frees is kept for the next one."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def keep_freed_memory() -> bool:
    """Ask glibc not to give freed memory back to the system after every step.

    By default blocks beyond 128 kB to 32 MB go back when freed, and every step on a processor pays again for fresh
    pages: about a tenth of its time on a small model. Returns whether it was asked. It is not where the allocator is
    another one, or the user has set it (``GLIBC_TUNABLES``, ``MALLOC_...``).
    """
    chosen = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if chosen or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 32 << 20) and mallopt(_TRIM_THRESHOLD, 1 << 30))
