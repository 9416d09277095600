"""Interleaved timing: every candidate runs once in each round, so that a busy machine is busy for all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Timing", "interleave"]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one candidate: median and quartiles over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.low:.1f}-{self.high:.1f})"


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warm_up: int = 2,
    pause: float = 0.05,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time each candidate ``rounds`` times, one after the other in each round.

    Args:
        candidates: What to run, by name.
        rounds: How often.
        warm_up: Rounds that are not counted.
        pause: Seconds of rest before each run: an engine's idle threads wait in a loop for a while, which would be
            charged to the next candidate.
        clock: Seconds; `time.process_time` where others keep the machine busy.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(warm_up + rounds):
        for name, run in candidates.items():
            time.sleep(pause)
            begin = clock()
            run()
            if turn >= warm_up:
                times[name].append(1000 * (clock() - begin))
    return {name: _summary(values) for name, values in times.items()}


def _summary(values: list[float]) -> Timing:
    if len(values) < 2:
        return Timing(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4)
    return Timing(median, low, high)
