"""What a service counts, in Prometheus' form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

if TYPE_CHECKING:
    from segship.serve.places import Places

__all__ = ["MEDIA_TYPE", "Metrics"]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one process; of several workers, what `text` says is their sum.

    Args:
        places: Whose queue is told.
    """

    def __init__(self, places: Places) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "segship_requests", "Requests, by what they asked for and how it ended.", ("route", "model", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "segship_request_seconds", "From the first byte of a request to the last of its reply.", ("route", "model"),
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._waiting = _gauge("segship_queue", "Requests that wait for a place.", self._registry)
        self._working = _gauge("segship_working", "Masks being made.", self._registry)
        self._places = places

    def count(self, route: str, model: str, status: int | str, seconds: float) -> None:
        """Count a request that ended.

        Args:
            route: The route's path, with names in braces.
            model: A model that exists, or an empty text.
            status: Of the reply: a number of HTTP's, 0 for a client that left, or a name of gRPC's.
            seconds: It took.
        """
        self._requests.labels(route, model, str(status)).inc()
        self._seconds.labels(route, model).observe(seconds)

    def text(self) -> bytes:
        """All figures, in Prometheus' text form."""
        self._waiting.set(self._places.waiting)
        self._working.set(self._places.working)
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        _forget_the_dead(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of workers that were killed: nobody waits there any more."""
    for file in folder.glob("gauge_live*_*.db"):
        number = file.stem.rpartition("_")[2]
        if number.isdigit() and not Path(f"/proc/{number}").exists() and Path("/proc/self").exists():
            mark_process_dead(int(number), str(folder))  # type: ignore[no-untyped-call]


def _gauge(name: str, what: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, what, registry=registry, multiprocess_mode="livesum")
