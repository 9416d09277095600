"""The command line: one file for each subcommand, imported only when it runs."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from segship.core.errors import SegshipError, SegshipWarning

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["main"]

_MANY = ("--cfg-options", "--eval-options")
_GLOBAL = ("-v", "--verbose", "-q", "--quiet")

_ERROR_STATUS = 2
_INTERRUPTED_STATUS = 130


def main() -> None:
    """Run the command line: errors a user can mend are one line on standard error, with status 2."""
    from segship.cli import output  # typer takes a while to import, and importers may not need it
    from segship.cli.app import app

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
        app(args=_globals_first(_json_alone(_spread(sys.argv[1:]))))
    except SegshipError as error:
        if output.is_verbose():
            sys.excepthook(type(error), error, error.__traceback__)
        sys.stderr.write(f"error: {' '.join(str(error).split(chr(10)))}\n")
        sys.exit(_ERROR_STATUS)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED_STATUS)
    finally:
        warnings.showwarning = plain


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
