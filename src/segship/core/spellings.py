"""Names that other tools have for a target: `segship` registers who knows them, and `Target.parse` asks."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

__all__ = ["Spelling", "examples", "register", "translate"]

_MODULES: list[str] = []


class Spelling(Protocol):
    """The functions that a module with a tool's names provides."""

    EXAMPLE: str
    """For error messages: whose names they are, and one of them."""

    def read_name(self, text: str) -> str | None:
        """Return what a name means, as ``backend[-precision]_shape``; None where it is no name of the tool's."""


def register(module: str) -> None:
    """Let `translate` ask a module, which is imported when it is needed.

    Args:
        module: Full name of a module that is a `Spelling`.
    """
    _MODULES.append(module)


def translate(text: str) -> str:
    """Return what another tool's name for a target means, as ``backend[-precision]_shape``; else ``text`` itself."""
    meanings = (spelling.read_name(text) for spelling in _spellings())
    return next((meaning for meaning in meanings if meaning is not None), text)


def examples() -> str:
    """Return the end of an error message: the tools whose names are understood."""
    return "".join(f", or {spelling.EXAMPLE}" for spelling in _spellings())


def _spellings() -> list[Spelling]:
    return [cast("Spelling", importlib.import_module(module)) for module in _MODULES]
