"""Memory: how much there is, and giving back what is not needed any more."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys

__all__ = ["is_out_of_memory", "memory_bytes", "release_memory"]

# What libraries say, each in its own words, where a type of Python's does not say it: the loader of shared libraries,
# threads, C++, OpenCV, torch, ONNX Runtime.
_SAID = (
    "failed to map segment",
    "cannot allocate memory",
    "can't allocate memory",
    "failed to allocate memory",
    "cannot create shared object descriptor",
    "cannot apply additional memory protection",
    "can't start new thread",
    "could not create a primitive",  # oneDNN
    "bad allocation",
    "bad_alloc",
    "insufficient memory",
    "not enough memory",
    "out of memory",
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that it came of, says that memory was lacking.

    Args:
        error: Of any library.
    """
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if any(words in str(error).lower() for words in _SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


def release_memory() -> None:
    """Return freed memory to the system, between stages that each need much of it.

    Graphs and sessions hold each other in cycles, which Python's collector finds late, and the C library keeps what
    was freed for itself: both would count while the next stage takes its own.
    """
    import ctypes  # a mask needs none

    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # of glibc only; elsewhere nothing is lost but the room
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def memory_bytes() -> int:
    """Return the bytes of memory that this machine has; the greatest integer where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize
