"""Memory: how much there is, and giving back what is not needed any more."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys

__all__ = ["memory_bytes", "release_memory"]


def release_memory() -> None:
    """Return freed memory to the system, between stages that each need much of it.

    Graphs and sessions hold each other in cycles, which Python's collector finds late, and the C library keeps what
    was freed for itself: both would count while the next stage takes its own.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # of glibc only; elsewhere nothing is lost but the room
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def memory_bytes() -> int:
    """Return the bytes of memory that this machine has; the greatest integer where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize
