"""One data set, several processes: what a process that dies had not handed over, another counts again."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from segship.core.errors import BackendError, SegshipError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from segship.evaluation.job import Job
    from segship.evaluation.tally import Tally

__all__ = ["CHUNK", "MOST_DEATHS", "count_in_processes"]

CHUNK = 8
"""Samples that are handed out at once."""

MOST_DEATHS = 3
"""Processes that may die on the same samples until these are to blame."""


@dataclass
class _Worker:
    process: Any
    connection: Connection
    chunk: tuple[int, ...] = ()


@dataclass
class _Shift:
    """The chunks that wait, and how many processes died on each."""

    waiting: deque[tuple[int, ...]]
    deaths: dict[tuple[int, ...], int] = field(default_factory=dict)

    def blame(self, worker: _Worker) -> None:
        """Put back the chunk of a worker that died."""
        worker.process.join()
        self.deaths[worker.chunk] = deaths = self.deaths.get(worker.chunk, 0) + 1
        if deaths >= MOST_DEATHS:
            raise BackendError(
                f"{deaths} processes died (exit status {worker.process.exitcode}) on the samples "
                f"{worker.chunk[0] + 1} to {worker.chunk[-1] + 1}: too little memory for {deaths} networks, or an "
                "engine that crashes; try fewer --workers"
            )
        if worker.chunk:
            self.waiting.appendleft(worker.chunk)


def count_in_processes(
    job: Job, places: Sequence[int], workers: int, done: Callable[[tuple[int, ...], Tally], None]
) -> None:
    """Count the samples at ``places``.

    Args:
        job: The evaluation.
        places: Of the samples that are to be counted.
        workers: How many processes.
        done: Called with the places of some samples and their tally.

    Raises:
        BackendError: Processes keep dying on the same samples.
        SegshipError: A process met an error that a user can mend.
    """
    shift = _Shift(deque(tuple(places[first : first + CHUNK]) for first in range(0, len(places), CHUNK)))
    crew: list[_Worker] = []
    try:
        while shift.waiting or any(worker.chunk for worker in crew):
            while len(crew) < workers and len(crew) < len(shift.waiting) + sum(bool(worker.chunk) for worker in crew):
                crew.append(_hire(job, workers))
            _hand_out(crew, shift)
            _collect(crew, shift, done)
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.process.join()


def _hire(job: Job, workers: int) -> _Worker:
    # A forked process would inherit the threads' locks of engines that are open here.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(job, workers, there), daemon=True)
    process.start()
    there.close()
    return _Worker(process, here)


def _hand_out(crew: list[_Worker], shift: _Shift) -> None:
    for worker in crew:
        if not worker.chunk and shift.waiting:
            worker.chunk = shift.waiting.popleft()
            with contextlib.suppress(OSError):  # it died while idle: noticed when its answer is awaited
                worker.connection.send(worker.chunk)


def _collect(crew: list[_Worker], shift: _Shift, done: Callable[[tuple[int, ...], Tally], None]) -> None:
    ready = set(wait([worker.connection for worker in crew]))
    for worker in [worker for worker in crew if worker.connection in ready]:
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            crew.remove(worker)
            shift.blame(worker)
            continue
        if isinstance(answer, SegshipError):
            raise answer
        chunk, worker.chunk = worker.chunk, ()
        done(chunk, answer)


def _serve(job: Job, workers: int, connection: Connection) -> None:
    """The life of a worker: open the networks, then count what is asked for until nobody asks."""
    try:
        engines = job.open(workers)
        while True:
            chunk = connection.recv()
            tally = job.counter.empty()
            for_all = functools.partial(_add, tally)
            job.count(engines, chunk, for_all)
            connection.send(tally)
    except SegshipError as error:
        connection.send(SegshipError(str(error)))
    except (EOFError, KeyboardInterrupt):
        pass


def _add(total: Tally, _place: int, counted: Tally) -> None:
    total.add(counted)
