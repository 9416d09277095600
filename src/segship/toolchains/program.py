"""Running a vendor's program to its end, or to the end of its time, with everything it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from segship.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Ended", "last_lines", "run_program"]

_MOST = 2**20  # bytes of what it says that are read: the last ones
_LINES, _CHARACTERS = 6, 600


@dataclass(frozen=True)
class Ended:
    """A program that came to its end.

    Attributes:
        status: Its exit status; below 0: the signal that ended it.
        said: The last MiB of what it wrote to both standard streams.
    """

    status: int
    said: str


def run_program(
    arguments: Sequence[str], *, title: str, folder: Path, seconds: float, variables: Mapping[str, str] | None = None
) -> Ended:
    """Run a program without a shell and without input.

    Args:
        arguments: The program and what it is given.
        title: The program's name, for people.
        folder: Its working directory.
        seconds: Time limit. When it is over, or this process is interrupted, the program is ended, with all processes
            that it started.
        variables: Its environment variables; None: this process's own.

    Returns:
        How it ended; a status other than 0 is no error here.

    Raises:
        BackendError: It cannot be started, or it has not ended in time.
    """
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(  # noqa: S603  (our own arguments, no shell)
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=None if variables is None else dict(variables),
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(f"{title} cannot be started: {error.strerror}") from error
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BackendError(
                f"{title} has not finished within {seconds:g} seconds, and was ended: {last_lines(_tail(log))}"
            ) from None
        finally:
            _end(process)
        return Ended(status, _tail(log))


def last_lines(text: str) -> str:
    """Return the last lines of what a program said, as one line."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return " / ".join(lines[-_LINES:])[-_CHARACTERS:] or "it said nothing"


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(size - _MOST, 0))
    return log.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program where it still runs, and what it left running."""
    with contextlib.suppress(OSError):  # nothing is left
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
