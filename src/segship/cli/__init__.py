"""The command line: one file for each subcommand, imported only when it runs."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from segship.core import own_process
from segship.core.errors import SegshipError, one_line, printable
from segship.core.files import cache_folder
from segship.core.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

_MANY = ("--cfg-options", "--eval-options")
_GLOBAL = ("-v", "--verbose", "-q", "--quiet")

_ERROR_STATUS = 2
_BUG_STATUS = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED_STATUS = 130
_SIGNALLED_STATUS = 128
_ENDING = ("SIGTERM", "SIGHUP")
_OBJECTS_MADE = 20_000  # between two searches for garbage: what a start imports is none, and was searched seventy times
_REPORT = "https://github.com/segship/segship/issues"


def main() -> None:
    """Run the command line: errors a user can mend are one line on standard error, with status 2."""
    for name in _ENDING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))  # no folder of its own in the user's home
    own_process.claim()
    gc.set_threshold(_OBJECTS_MADE, *gc.get_threshold()[1:])
    try:
        _prepare_streams()
        status = _run()
    except KeyboardInterrupt:
        status = _INTERRUPTED_STATUS
    except Exception as error:  # noqa: BLE001  (what is no error of the user's is told as a bug)
        _fail(error)
    if status == _INTERRUPTED_STATUS:
        _tell(f"interrupted{_hint()}")
    sys.exit(status)


def _run() -> int:
    """Run the subcommand that the arguments name; its status."""
    from segship.cli.predicting import predict_images, read_arguments

    with _plain_warnings():
        if (known := read_arguments(sys.argv[1:])) is not None:
            return predict_images(**known)
        from segship.cli.app import app  # typer takes longer to import than an engine

        try:
            app(args=_globals_first(_tta_alone(_json_alone(_spread(sys.argv[1:])))))
        except SystemExit as leave:
            sys.stdout.flush()
            return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    return 0


def _prepare_streams() -> None:
    """Let characters be escaped that a stream's encoding lacks, and refuse to work for nobody.

    Raises:
        SegshipError: Standard output is closed.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
    if sys.stdout is None:
        raise SegshipError("standard output is closed, so that results would be lost: send them to a file or /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: Exception) -> NoReturn:
    """Tell an error in one line, and leave."""
    known = isinstance(error, (SegshipError, OSError)) or is_out_of_memory(error)
    if _is_verbose():
        sys.excepthook(type(error), error, error.__traceback__)
    _tell(f"error: {_told(error) if known else _bug(error)}")
    sys.exit(_ERROR_STATUS if known else _BUG_STATUS)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{line}\n")


def _told(error: Exception) -> str:
    """One line for the user; what the system says names the file, where it knows it."""
    if is_out_of_memory(error) and not isinstance(error, SegshipError):
        return "there is not enough memory for this"
    if isinstance(error, OSError) and error.strerror:
        return printable(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return printable(" ".join(str(error).split("\n")))


def _bug(error: Exception) -> str:
    said = printable(one_line(f"{type(error).__name__}: {error}"))
    return f"this is a bug of Segship ({said}): please report it, with the traceback that -v shows, at {_REPORT}"


def _is_verbose() -> bool:
    output = sys.modules.get("segship.cli.output")
    return output is not None and output.is_verbose()


def _hint() -> str:
    """How to go on after an interruption, where the subcommand can."""
    output = sys.modules.get("segship.cli.output")
    return "" if output is None else output.hint()


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings are one line each, whoever warns."""
    from segship.cli import output

    plain = warnings.showwarning
    warnings.showwarning = lambda message, *_: output.warn(str(message))
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


def _tta_alone(arguments: list[str]) -> list[str]:
    """``--tta`` without views as ``--tta config``; what is misspelt, and no file, stays its value."""
    if "--tta" not in arguments:
        return arguments
    from segship.runtime.augmentation import OWN, is_augmentation

    found: list[str] = []
    for argument, after in zip(arguments, [*arguments[1:], "--"], strict=False):
        found.append(argument)
        other = after.startswith("-") or ":" in after or Path(after).exists()
        if argument == "--tta" and other and not is_augmentation(after):
            found.append(OWN)
    return found


def _globals_first(arguments: list[str]) -> list[str]:
    """``-v`` and ``-q`` before the subcommand, wherever they stand."""
    own = [argument for argument in arguments if argument in _GLOBAL]
    return own + [argument for argument in arguments if argument not in _GLOBAL]
