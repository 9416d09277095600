"""Every error Segship raises on purpose.

::

    SegshipError                 what a user can mend; the command line prints one line and exits with status 2
    ├── ConfigError              a config that cannot be read statically, or that names what does not exist
    ├── CheckpointError          a checkpoint that cannot be read, or that is of another network
    │   └── UnsafeFileError      it would have to run code to be read; nothing was run
    ├── UnsupportedError         understood, but not provided: the message says why and what else there is
    ├── InputError               an image, label map, folder or option that cannot be used
    │   └── SizeError            an input size the network cannot take; the message names the sizes it can
    ├── PackageError             a package that is damaged, incomplete or newer than this version
    ├── BackendError             an engine that cannot be built, opened or run
    │   └── MissingExtraError    an optional dependency is not installed; the message holds the pip line
    ├── DownloadError            a file cannot be fetched, or is not what its name says
    └── VerificationError        a converted network does not agree with the original

    SegshipWarning               something a user should know, but that stops nothing

A message says what was found, what was expected, and what to do.
"""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING

from segship.core.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from segship.core.mistakes import Mistake, ValidationError

__all__ = [
    "BackendError",
    "CheckpointError",
    "ConfigError",
    "DownloadError",
    "InputError",
    "MissingExtraError",
    "PackageError",
    "SegshipError",
    "SegshipWarning",
    "SizeError",
    "UnsafeFileError",
    "UnsupportedError",
    "VerificationError",
    "did_you_mean",
    "engine_errors",
    "one_line",
    "printable",
    "validated",
    "validation_line",
]


class SegshipError(Exception):
    """Base of all errors a user can mend."""


class SegshipWarning(UserWarning):
    """Something went on that the user should know about."""


class ConfigError(SegshipError):
    """A config cannot be read statically, or names something that does not exist."""


class CheckpointError(SegshipError):
    """A checkpoint cannot be read, or belongs to another network."""


class UnsafeFileError(CheckpointError):
    """Reading the file would run code that it carries; nothing was run."""


class UnsupportedError(SegshipError):
    """Understood, but not provided."""


class InputError(SegshipError):
    """An image, label map, folder or option cannot be used."""


class SizeError(InputError):
    """The network cannot take an input of this size."""


class PackageError(SegshipError):
    """A package is damaged, incomplete, or written by a newer version."""


class BackendError(SegshipError):
    """An engine cannot be built, opened or run."""


class MissingExtraError(BackendError):
    """An optional dependency is not installed, or cannot be loaded: the import that failed says which.

    Args:
        what: What needs the dependency, as the subject of a sentence: ``"Exporting"``.
        extra: Name of the extra in Segship's distribution that brings it; empty for the base install.
        module: The module that could not be imported.
    """

    def __init__(self, what: str, extra: str, module: str) -> None:
        line = f'"segship[{extra}]"' if extra else "segship"
        reason = f"which is not installed: pip install {line}"
        error = sys.exception()  # which import failed, and why
        if isinstance(error, ImportError) and is_out_of_memory(error):
            reason = "and there is not enough memory to load it"
        elif isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
            reason = f"which cannot be loaded ({one_line(error)}): install it again, pip install {line}"
        super().__init__(f"{what} needs the module {module!r}, {reason}")


class DownloadError(SegshipError):
    """A file cannot be fetched, or is not what its name says."""


class VerificationError(SegshipError):
    """A converted network does not agree with the original."""


_SHORTEST = 3  # characters of a beginning that says enough


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests near names.

    Args:
        name: What was asked for.
        known: What exists.

    Returns:
        ``" Did you mean 'A' or 'B'?"``, or an empty string when nothing is near.
    """
    import difflib  # of errors alone

    names = list(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near = near or [other for other in names if len(name) >= _SHORTEST and other.startswith(name)][:3]
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


_LONGEST = 300  # characters
_MOST_MISTAKES = 20


def one_line(text: object, *, last: bool = False, joined: bool = False) -> str:
    """Shorten what a library said to one line for an error message.

    Args:
        text: What was said, often an exception with a stack of its own.
        last: Take the last line that says something, rather than the first.
        joined: Take all lines, joined by spaces.

    Returns:
        At most 300 characters; the name of the type where nothing is said.
    """
    lines = [" ".join(line.split()) for line in str(text).splitlines() if line.strip()]
    if not lines:
        return type(text).__name__
    return (" ".join(lines) if joined else lines[-1 if last else 0])[:_LONGEST]


_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Escape what a terminal would take for a command, as ``\x1b``, and what no encoding holds, as ``\udce9``.

    Args:
        text: Often the name of a file or of a class, which may hold any character.

    Returns:
        The text, which any terminal shows and any encoding holds.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def validation_line(error: ValidationError, *, known: Iterable[str] = ()) -> str:
    """Say what is wrong with data that no record takes.

    Args:
        error: Its first twenty mistakes are told.
        known: Names of the fields there are, so that near ones are suggested.

    Returns:
        One sentence for each mistake: ``spec.threshold is 1.5: input should be less than 1``.
    """
    names = list(known)
    told = "; ".join(_mistake(one, names) for one in error.mistakes[:_MOST_MISTAKES])
    more = len(error.mistakes) - _MOST_MISTAKES
    return printable(told) + (f"; and {more} more" if more > 0 else "")


def _mistake(mistake: Mistake, known: list[str]) -> str:
    name = ".".join(map(str, mistake.place))
    if mistake.kind == "unknown":
        return f"there is no {name!r}.{did_you_mean(name, known)}"
    if mistake.kind == "missing":
        return f"{name} is missing"
    said = mistake.said[:1].lower() + mistake.said[1:]
    return f"{name} is {mistake.value!r:.60}: {said}" if name else said


@contextlib.contextmanager
def validated(what: str, kind: type[SegshipError]) -> Iterator[None]:
    """Turn a record that is refused inside into a Segship error.

    Args:
        what: The message's beginning: ``"config.py"``.
        kind: Of the error.

    Returns:
        A context manager.
    """
    from segship.core.mistakes import ValidationError  # which nobody needs who asks for errors

    try:
        yield
    except ValidationError as error:
        raise kind(f"{what} cannot be used: {validation_line(error)}") from None


@contextlib.contextmanager
def engine_errors(what: str, *, last: bool = False) -> Iterator[None]:
    """Turn whatever an engine's library raises inside into a `BackendError`; Segship's own errors pass.

    Args:
        what: The message's beginning: ``"ONNX Runtime cannot open model.onnx"``.
        last: The library says what is wrong in the last line of its message.

    Returns:
        A context manager.
    """
    try:
        yield
    except SegshipError:
        raise
    except Exception as error:
        if own := _own_cause(error):
            raise own from None  # a library wrapped what a callback of ours raised, as for an image that is damaged
        said = "there is not enough memory" if is_out_of_memory(error) else one_line(error, last=last)
        raise BackendError(f"{what}: {said}") from error


def _own_cause(error: BaseException | None) -> SegshipError | None:
    while error is not None:
        if isinstance(error, SegshipError):
            return error
        error = error.__cause__ or error.__context__
    return None
