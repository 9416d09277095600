"""Names that other tools have for a target; `segship.formats` registers them, `Target.parse` understands them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["examples", "register", "translate"]

_READERS: dict[str, Callable[[str], str | None]] = {}


def register(example: str, read: Callable[[str], str | None]) -> None:
    """Let `translate` understand the names of a tool.

    Args:
        example: Whose names they are, and one of them, for error messages.
        read: Returns what a name means, as ``backend[-precision]_shape``; None where it is no name of the tool's.
    """
    _READERS[example] = read


def translate(text: str) -> str:
    """Return what another tool's name for a target means, as ``backend[-precision]_shape``; else ``text`` itself."""
    found = (read(text) for read in _READERS.values())
    return next((meaning for meaning in found if meaning is not None), text)


def examples() -> str:
    """Return the end of an error message: the tools whose names are understood."""
    return "".join(f", or {example}" for example in _READERS)
