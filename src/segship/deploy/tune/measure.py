"""Time and memory of packages, from a decoded image to its mask, all in turns."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from segship.backends import find_backend
from segship.bench import benchmark
from segship.bench.candidate import Candidate, HowToOpen
from segship.bench.memory import peak_memory
from segship.core.target import Target
from segship.deploy.tune.candidates import thread_choices
from segship.deploy.tune.result import Timing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Packages", "fastest", "memory_of", "time_packages"]

Packages = dict[str, "Path"]
"""Folder of each package, by target."""

_SAME = 0.03  # threads that save less than this share of the time are left to others
_DECODING = "decode"


def time_packages(
    packages: Mapping[str, Path],
    images: Sequence[Path],
    *,
    seconds: float,
    threads: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, dict[int, Timing]]:
    """Time packages with each number of threads, in turns: what else the machine does is shared by all.

    Args:
        packages: Folder of each, by target; the first is what the others are divided by.
        images: Files; each is decoded before its time begins.
        seconds: Of measuring, for each package and number of threads.
        threads: The numbers to try, by target; 0 stands for the engine's own choice. What is not in it: all.

    Returns:
        By target and threads. What cannot be timed is not in it.
    """
    places: dict[str, tuple[str, int]] = {}
    with contextlib.ExitStack() as opened:
        candidates = []
        for target, folder in packages.items():
            choices = thread_choices(find_backend(Target.parse(target).backend).INFO)
            for chosen in (threads or {}).get(target, [choice or 0 for choice in choices]):
                candidate = Candidate.open(folder, HowToOpen(threads=chosen or None, trust=True))  # it was made here
                opened.callback(candidate.close)
                candidate.name = f"{target} {chosen}"
                places[candidate.name] = target, chosen
                candidates.append(candidate)
        found = benchmark(candidates, images=images, duration=seconds, memory=False)
    times: dict[str, dict[int, Timing]] = {}
    for entry in found.measurements:
        target, chosen = places[entry.package]
        decoding = entry.stages.get(_DECODING, 0.0)
        p50, low, high = (value - decoding for value in (entry.latency.p50, entry.latency.low, entry.latency.high))
        times.setdefault(target, {})[chosen] = Timing(p50, low, high, 1.0, entry.latency.runs)
    first = times.get(next(iter(packages)), {})
    base = min((timing.milliseconds for timing in first.values()), default=1.0)
    return {
        target: {chosen: replace(timing, ratio=timing.milliseconds / base) for chosen, timing in each.items()}
        for target, each in times.items()
    }


def fastest(times: Mapping[int, Timing]) -> int:
    """Choose the number of threads: the least that is as fast as any, but for noise.

    Args:
        times: By threads; at least one.
    """
    best = min(timing.milliseconds for timing in times.values())
    return min(threads for threads, timing in times.items() if timing.milliseconds <= best * (1 + _SAME))


def memory_of(package: Path, images: Sequence[Path], threads: int) -> float | None:
    """Measure the peak memory of a process that opens a package and runs it, in MiB.

    Args:
        package: Its folder.
        images: Files.
        threads: Of the engine; 0: its own choice.

    Returns:
        None where the system does not tell.
    """
    how = HowToOpen(threads=threads or None, trust=True)
    return peak_memory(package, how, images, 1, None, engine_only=False)
