"""Packages timed side by side: each runs once in every round, so that a busy machine is busy for all of them."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import segship
from segship.bench.candidate import Candidate, HowToOpen, Workload
from segship.bench.memory import peak_memory
from segship.bench.pictures import Pictures
from segship.bench.result import Benchmark, Measurement, Refusal, Spread
from segship.core.errors import InputError, SegshipError
from segship.runtime.package import can_open

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["benchmark", "machine"]

_WARM_UP = 3  # rounds that are not counted
_FEWEST = 5  # rounds, however long the measuring takes
_SLOW = 20.0  # seconds; of rounds that take longer, one to warm up and three will do
_FEWEST_SLOW = 3
_REST = 0.02  # seconds before each run: idle threads of some engines wait in a loop, at the next one's expense


@dataclass
class _Series:
    candidate: Candidate
    batch: int
    workload: Workload
    rounds: list[dict[str, float]] = field(default_factory=list)


def benchmark(
    packages: Sequence[str | os.PathLike[str] | Candidate],
    *,
    batch_sizes: Sequence[int] = (1,),
    size: tuple[int, int] | None = None,
    images: Sequence[str | os.PathLike[str]] = (),
    device: str | None = None,
    threads: int | None = None,
    duration: float = 5.0,
    engine_only: bool = False,
    memory: bool = True,
    trust: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Benchmark:
    """Time packages, side by side, from the image file to the mask or the engine alone.

    Args:
        packages: Folders written by ``segship export`` or MMDeploy, engine files, or opened engines; they take turns.
        batch_sizes: Images in one run.
        size: (height, width) of the images, or of the network's input where the engine runs alone; None: the images'
            own, and what they become.
        images: Image files or folders; none: scenes that come with Segship, and bands made of them for networks that
            take more than photographs have.
        device: ``cpu``, ``cuda:0``, …; None: ``cpu``, or the first device of an engine that does not run there.
        threads: Threads of each engine; None: its own choice.
        duration: Seconds of measuring for each package and batch size.
        engine_only: Time the network alone, not from the file to the mask.
        memory: Also measure the peak memory, in a process of its own for each.
        trust: Open engines that carry code, which then runs.
        progress: Called with the share that is done, 0-1.

    Returns:
        The measurements.

    Raises:
        InputError: Nothing could be measured; the message gives the first reason.
        SegshipError: A package cannot be opened.

    Examples:
        >>> from segship.bench import benchmark
        >>> found = benchmark(["package"], batch_sizes=(1, 2), duration=0, memory=False)
        >>> [(entry.batch, entry.latency.p50 > 0) for entry in found.measurements]
        [(1, True), (2, True)]
    """
    before = machine()
    how = HowToOpen(device, threads, trust)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(images, None if engine_only else size, Path(folder))
        chosen = size if engine_only else None
        found, refusals = _candidates(packages, batch_sizes, pictures, chosen, how)
        if not found:
            raise InputError(f"nothing could be measured: {refusals[0].package}: {refusals[0].reason}")
        _rounds(found, duration * len(found), progress, engine_only=engine_only)
        measurements = []
        for one in found:
            peak = None
            where = Path(one.candidate.name)
            if memory and can_open(where):
                own = replace(how, device=one.candidate.device)
                peak = peak_memory(where, own, one.workload.files, one.batch, chosen, engine_only=engine_only)
            measurements.append(_measurement(one, peak))
    return Benchmark("engine" if engine_only else "end_to_end", tuple(measurements), tuple(refusals), before)


def machine() -> dict[str, Any]:
    """Describe this machine: processor, number of processors, load, versions."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "segship": segship.__version__,
    }


def _candidates(
    packages: Sequence[str | os.PathLike[str] | Candidate],
    batch_sizes: Sequence[int],
    pictures: Pictures,
    size: tuple[int, int] | None,
    how: HowToOpen,
) -> tuple[list[_Series], list[Refusal]]:
    found, refusals = [], []
    for package in packages:
        candidate = package if isinstance(package, Candidate) else Candidate.open(Path(package), how)
        for batch in batch_sizes:
            try:
                one = _Series(candidate, batch, candidate.workload(pictures.of(candidate.spec), batch, size))
                candidate.engine(one.workload)
            except SegshipError as error:
                refusals.append(Refusal(candidate.name, batch, str(error)))
            else:
                found.append(one)
    return found, refusals


def _rounds(
    series: list[_Series], seconds: float, progress: Callable[[float], None] | None, *, engine_only: bool
) -> None:
    progress = progress or (lambda _: None)
    begin, slow = time.perf_counter(), False
    for turn in range(_WARM_UP):
        for one in series if not slow else ():
            _ = one.candidate.engine(one.workload) if engine_only else one.candidate.end_to_end(one.workload)
        slow = slow or time.perf_counter() - begin > _SLOW * (turn + 1)
        progress(0.01 * turn)
    begin, turn, fewest = time.perf_counter(), 0, _FEWEST_SLOW if slow else _FEWEST
    while turn < fewest or time.perf_counter() - begin < seconds:
        # The order turns around from round to round, so that nobody always runs after the same neighbour.
        for place, one in enumerate(series if turn % 2 == 0 else reversed(series)):
            time.sleep(_REST)
            one.rounds.append(
                one.candidate.engine(one.workload) if engine_only else one.candidate.end_to_end(one.workload)
            )
            rounds = (turn + (place + 1) / len(series)) / fewest
            progress(min(1.0, rounds, (time.perf_counter() - begin) / max(seconds, 1e-9)))
        turn += 1
    progress(1.0)


def _measurement(one: _Series, peak: float | None) -> Measurement:
    stages = {stage: Spread.of([turn[stage] for turn in one.rounds]).p50 for stage in one.rounds[0]}
    latency = Spread.of([sum(turn.values()) for turn in one.rounds])
    return Measurement(
        package=one.candidate.name,
        target=one.candidate.target,
        batch=one.batch,
        input=one.workload.size,
        latency=latency,
        stages=stages,
        images_per_second=1000 * one.batch / latency.mean,
        memory=peak,
    )
