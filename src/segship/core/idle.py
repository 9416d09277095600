"""Lets the workers of linear algebra sleep while there is nothing for them to do."""

from __future__ import annotations

import os

__all__ = ["let_workers_sleep"]

# OpenBLAS, of which NumPy and OpenCV bring a copy each, starts a worker for every further core, and reads this as it is
# loaded: after two to its power of cycles without work a worker sleeps. Left alone they spin for 2**26 before the first
# work comes, twice a tenth of a second of each core; 2**20 are half a millisecond.
_VARIABLE, _CYCLES = "OPENBLAS_THREAD_TIMEOUT", "20"


def let_workers_sleep() -> None:
    """Let OpenBLAS's idle workers sleep soon, in this process and those that it starts.

    What a user set in the environment is left as it is. A library that was imported before keeps what it does.
    """
    os.environ.setdefault(_VARIABLE, _CYCLES)
