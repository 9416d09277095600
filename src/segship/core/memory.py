"""Memory that is not needed any more."""

from __future__ import annotations

import contextlib
import ctypes
import gc

__all__ = ["give_back"]


def give_back() -> None:
    """Return freed memory to the system, between stages that each need much of it.

    Graphs and sessions hold each other in cycles, which Python's collector finds late, and the C library keeps what
    was freed for itself: both would count while the next stage takes its own.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # of glibc only; elsewhere nothing is lost but the room
        ctypes.CDLL("libc.so.6").malloc_trim(0)
