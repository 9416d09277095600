"""Whether this process is Segship's own: a run of the command line, which ends with what it was asked for.

There a library may be loaded without parts that nothing of Segship calls. In a process of a user's, who may go on to
call them, it may not.
"""

from __future__ import annotations

__all__ = ["claim", "is_own"]

_own = False


def claim() -> None:
    """Tell that this process runs the command line."""
    global _own  # noqa: PLW0603  (a process is one thing)
    _own = True


def is_own() -> bool:
    """Return whether `claim` was called in this process, or before the fork that it comes from."""
    return _own
