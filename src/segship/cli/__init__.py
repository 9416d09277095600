"""The command line: one file for each subcommand, imported only when it runs."""

from __future__ import annotations

import sys

from segship.core.errors import SegshipError

__all__ = ["main"]

_MANY = ("--cfg-options", "--eval-options")

_ERROR_STATUS = 2
_INTERRUPTED_STATUS = 130


def main() -> None:
    """Run the command line: errors a user can mend are one line on standard error, with status 2."""
    from segship.cli.app import app  # typer takes a while to import, and importers may not need it

    try:
        app(args=_spread(sys.argv[1:]))
    except SegshipError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split(chr(10)))}\n")
        sys.exit(_ERROR_STATUS)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED_STATUS)


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
