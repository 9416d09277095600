"""Peak memory, in a process that does nothing else."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.bench.candidate import Candidate
from segship.core.errors import SegshipError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["peak_memory"]

_STATUS = Path("/proc/self/status")
_RUNS = 3


def peak_memory(
    package: Path, files: Sequence[Path], batch: int, size: tuple[int, int] | None, **options: Any
) -> float | None:
    """Peak resident memory of a process that opens a package and runs it a few times, in MiB.

    Args:
        package: Its folder.
        files: Image files.
        batch: Images in one run.
        size: Of the engine's input when it runs alone; None: end to end.
        options: Device and threads, and whether the ``engine_only`` runs.

    Returns:
        None where the system does not tell, or the process died.
    """
    if not _STATUS.is_file():
        return None
    # A forked process would count the memory of this one as its own.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(there, package, tuple(files), batch, size, options), daemon=True)
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
    connection: Any, package: Path, files: tuple[Path, ...], batch: int, size: tuple[int, int] | None, options: Any
) -> None:
    engine_only = options.pop("engine_only")
    try:
        candidate = Candidate.open(package, **options)
        workload = candidate.workload(files, batch, size)
        for _ in range(_RUNS):
            _ = candidate.engine(workload) if engine_only else candidate.end_to_end(workload)
    except SegshipError:
        connection.send(None)
        return
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    connection.send(int(line.split()[1]) / 1024)
