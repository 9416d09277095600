"""Peak memory, in a process that does nothing else."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.bench.candidate import Candidate, HowToOpen
from segship.core.errors import SegshipError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["peak_memory"]

_STATUS = Path("/proc/self/status")
_RUNS = 3


def peak_memory(
    package: Path,
    how: HowToOpen,
    files: Sequence[Path],
    batch: int,
    size: tuple[int, int] | None,
    *,
    engine_only: bool,
) -> float | None:
    """Measure the peak resident memory of a process that opens a package and runs it a few times, in MiB.

    Args:
        package: Its folder.
        how: How it is opened.
        files: Image files.
        batch: Images in one run.
        size: Size of the engine's input, where it runs alone; None: what the image becomes.
        engine_only: Run the network alone.

    Returns:
        None where the system does not tell, or the process died.
    """
    if not _STATUS.is_file():
        return None
    # A forked process would count the memory of this one as its own.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_measure, args=(there, package, how, tuple(files), batch, size, engine_only), daemon=True
    )
    process.start()
    there.close()
    try:
        found: float | None = here.recv()
    except EOFError:
        found = None
    process.join()
    here.close()
    return found


def _measure(
    connection: Any,
    package: Path,
    how: HowToOpen,
    files: tuple[Path, ...],
    batch: int,
    size: tuple[int, int] | None,
    engine_only: bool,
) -> None:
    try:
        candidate = Candidate.open(package, how)
        workload = candidate.workload(files, batch, size)
        for _ in range(_RUNS):
            _ = candidate.engine(workload) if engine_only else candidate.end_to_end(workload)
    except SegshipError:
        connection.send(None)
        return
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    connection.send(int(line.split()[1]) / 1024)
