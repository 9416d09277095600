"""The command line: one file for each subcommand, imported only when it runs."""

from __future__ import annotations

import contextlib
import signal
import sys
import warnings
from typing import TYPE_CHECKING

from segship.core.errors import SegshipError, SegshipWarning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

__all__ = ["main"]

_MANY = ("--cfg-options", "--eval-options")
_GLOBAL = ("-v", "--verbose", "-q", "--quiet")

_ERROR_STATUS = 2
_INTERRUPTED_STATUS = 130
_SIGNALLED_STATUS = 128
_ENDING = ("SIGTERM", "SIGHUP")


def main() -> None:
    """Run the command line: errors a user can mend are one line on standard error, with status 2."""
    from segship.cli import output  # typer takes a while to import, and importers may not need it
    from segship.cli.app import app

    for name in _ENDING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    try:
        with _plain_warnings():
            app(args=_globals_first(_json_alone(_spread(sys.argv[1:]))))
    except (SegshipError, OSError, MemoryError) as error:
        if output.is_verbose():
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.write(f"error: {_told(error)}\n")
        sys.exit(_ERROR_STATUS)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED_STATUS)


def _told(error: Exception) -> str:
    """One line for the user; what the system says names the file, where it knows it."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split("\n"))


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Segship's own warnings are one line each."""
    from segship.cli import output

    plain = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, SegshipWarning):
            output.warn(str(message))
        else:
            plain(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = plain


def _end(number: int, _: object) -> None:
    """Leave as on an interruption, so that what was begun is cleared away."""
    sys.exit(_SIGNALLED_STATUS + number)


def _spread(arguments: list[str]) -> list[str]:
    """``--cfg-options a=1 b=2`` as ``--cfg-options a=1 --cfg-options b=2``, as MMSegmentation's tools take them."""
    spread: list[str] = []
    option = ""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before in _MANY:
            option = before
        elif option and "=" in argument and not argument.startswith("-"):
            spread.append(option)
        else:
            option = ""
        spread.append(argument)
    return spread


def _json_alone(arguments: list[str]) -> list[str]:
    """``--json`` without a file as ``--json -``: version 0.1's `info` and `doctor` had it so."""
    found: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], "--"], strict=False):
        found.append(argument)
        if argument == "--json" and after.startswith("-") and after != "-":
            found.append("-")
    return found


def _globals_first(arguments: list[str]) -> list[str]:
    """``-v`` and ``-q`` before the subcommand, wherever they stand."""
    own = [argument for argument in arguments if argument in _GLOBAL]
    return own + [argument for argument in arguments if argument not in _GLOBAL]
