"""One data set, many machines, by Ray. Every machine must see the package and the images under the same paths."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from segship.core.cluster import connected
from segship.core.errors import SegshipError
from segship.core.processor import processors
from segship.evaluation.workers import CHUNK, MOST_DEATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.evaluation.counter import WorkerEngines
    from segship.evaluation.job import Job
    from segship.evaluation.tally import Tally

__all__ = ["count_on_ray"]

_AHEAD = 2  # chunks that wait for each processor of the cluster


def count_on_ray(job: Job, places: Sequence[int], address: str, done: Callable[[tuple[int, ...], Tally], None]) -> None:
    """Count the samples at ``places``; what a machine that dies had under way is counted again elsewhere.

    Args:
        job: The evaluation.
        places: Of the samples that are to be counted.
        address: Of the cluster, or ``local`` to start one on this machine.
        done: Called with the places of some samples and their tally.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: There is no cluster, or processes keep dying on the same samples.
        SegshipError: A process met an error that a user can mend.
    """
    with connected(address, "Evaluating on a cluster") as ray:
        _count(ray, job, places, done)


def _count(ray: Any, job: Job, places: Sequence[int], done: Callable[[tuple[int, ...], Tally], None]) -> None:
    count = ray.remote(num_cpus=1, max_retries=MOST_DEATHS - 1)(_count_chunk)
    there = ray.put(job)
    chunks = [tuple(places[first : first + CHUNK]) for first in range(0, len(places), CHUNK)]
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    running: dict[Any, tuple[int, ...]] = {}
    while chunks or running:
        while chunks and len(running) < most:
            chunk = chunks.pop(0)
            running[count.remote(there, chunk)] = chunk
        for reference in ray.wait(list(running))[0]:
            answer = ray.get(reference)
            if isinstance(answer, SegshipError):
                raise answer
            done(running.pop(reference), answer)


def _count_chunk(job: Job, chunk: tuple[int, ...]) -> Tally | SegshipError:
    tally = job.counter.empty()
    try:
        job.count(_engines(_Same(job)), chunk, lambda _, counted: tally.add(counted))
    except SegshipError as error:
        return SegshipError(str(error))
    return tally


class _Same:
    """A job that equals another one that opens the same networks."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._identity = json.dumps((job.identity() or {})["networks"], sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._identity == self._identity

    def __hash__(self) -> int:
        return hash(self._identity)


@lru_cache(maxsize=1)
def _engines(same: _Same) -> list[WorkerEngines]:
    """The networks, opened once in each process: Ray gives one process many chunks."""
    return same.job.open(processors())
