"""How an engine is opened where there are many images, and only the time of all counts."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.backends import find_backend
from segship.core.processor import processors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from segship.runtime.package import PackageFiles

__all__ = ["FEW", "Room", "Throughput", "throughput", "throughput_of"]

FEW = 8
"""Images that are not worth opening an engine once more."""

_CPU = "cpu"
_MOST_AT_ONCE = 16  # each run has memory of its own
_MOST_WEIGHTS = 2 << 30  # bytes of engine files that are open at the same time, beyond one engine
_MOST_PIXELS = 32_000_000


@dataclass(frozen=True)
class Throughput:
    """How an engine makes the most masks in a second.

    Attributes:
        device: What it is opened on.
        threads: What it is opened with; None: its own choice.
        sessions: How many times it is opened.
        at_once: How many runs go on in each session.
    """

    device: str
    threads: int | None
    sessions: int = 1
    at_once: int = 1


def throughput(
    files: PackageFiles, device: str | None = None, threads: int | None = None, cores: int | None = None
) -> Throughput:
    """Choose how an engine is opened for many images.

    Most networks do not get twice as fast on twice the processors; two images at a time do.

    Args:
        files: The package.
        device: As of `segship.Segmentor`. On others than the processor, one run at a time takes all of the device.
        threads: Of one run; None: as few as keep all processors busy.
        cores: Processors that there are for it; None: those of this process.
    """
    info = find_backend(files.manifest.target.backend).INFO
    chosen, have = device or files.default_device, processors()
    cores = have if cores is None else cores
    if chosen != _CPU or not info.threads:
        return Throughput(chosen, threads)
    if info.threads == "process":
        return Throughput(chosen, threads or (cores if cores < have else None))
    most = max(1, min(_MOST_AT_ONCE, cores // (threads or 1)))
    if info.throughput and threads is None and most > 1:
        return Throughput(f"{chosen},{info.throughput}", cores if cores < have else None, at_once=most)
    if info.parallel:
        return Throughput(chosen, threads or cores // most, at_once=most)
    weights = sum(file.size for file in files.manifest.files.values())
    most = max(1, min(most, _MOST_WEIGHTS // max(1, weights)))
    return Throughput(chosen, threads or max(1, cores // most), sessions=most)


def throughput_of(
    found: Sequence[PackageFiles], device: str | None = None, threads: int | None = None
) -> Throughput | None:
    """Choose how packages that work together are opened for many images; None: as they are for one.

    Args:
        found: The packages.
        device: As of `segship.Segmentor`; what is chosen there is kept, as are ``threads``.
        threads: As of `segship.Segmentor`.
    """
    if threads is not None or device not in {None, _CPU}:
        return None
    first, *others = [throughput(files) for files in found]
    alike = all((other.device, other.threads) == (first.device, first.threads) for other in others)
    return first if alike and first.at_once > 1 else None


class Room:
    """Bounds the pixels that are worked on at the same time, and with them the memory; a large image has it alone.

    Args:
        most: Pixels.
    """

    def __init__(self, most: int = _MOST_PIXELS) -> None:
        self._most, self._taken, self._changed = most, 0, threading.Condition()

    @contextlib.contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        """Wait until there is room for an image of so many pixels; it has it until this context ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + pixels <= self._most)
            self._taken += pixels
        try:
            yield
        finally:
            with self._changed:
                self._taken -= pixels
                self._changed.notify_all()
