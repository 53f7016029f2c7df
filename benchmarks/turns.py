"""Ways to the same result, timed in turns, so that a machine that slows down slows them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, ours: str = "detzoo", digits: int | None = 1
) -> dict[str, dict[str, float]]:
    """Processor time of each way, in milliseconds of ``digits`` decimals: ``median_ms``, ``min_ms``, and ``ratio``.

    The order is turned round each time. The ratio is the median of those to ``ours`` in the same round.
    """
    busy: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            begun = time.process_time()
            ways[way]()
            busy[way].append(1000 * (time.process_time() - begun))
    return {
        way: {
            "median_ms": round(statistics.median(spent), digits),
            "min_ms": round(min(spent), digits),
            "ratio": round(statistics.median(a / b for a, b in zip(spent, busy[ours], strict=True)), 2),
        }
        for way, spent in busy.items()
    }
