"""Words for pieces of Python syntax, for the messages about configs."""

from __future__ import annotations

import ast
import itertools
from typing import TYPE_CHECKING

from segship.core.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["assigned", "describe", "near", "source", "tidy"]

_LENGTH = 60
_MESSAGE_LENGTH = 250
_NEAR_LENGTH = 100
_NEAR_NAMES = 500
_WORDS = {
    "Import": "an import",
    "ImportFrom": "an import",
    "FunctionDef": "a function definition",
    "AsyncFunctionDef": "a function definition",
    "ClassDef": "a class definition",
    "Lambda": "a lambda",
    "If": "an if statement",
    "For": "a for statement",
    "While": "a while statement",
    "With": "a with statement",
    "Try": "a try statement",
    "NamedExpr": "an assignment within an expression",
}


def tidy(text: str) -> str:
    """``text`` as one printable line of bounded length: a config can put anything into a message."""
    line = "".join(character if character.isprintable() else " " for character in text[: _MESSAGE_LENGTH + 1])
    return line if len(line) <= _MESSAGE_LENGTH else line[: _MESSAGE_LENGTH - 1] + "…"


def near(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests names near ``name``, as long as looking for them is cheap."""
    short = (other for other in itertools.islice(known, _NEAR_NAMES) if len(other) <= _NEAR_LENGTH)
    return did_you_mean(name, short) if len(name) <= _NEAR_LENGTH else ""


def describe(node: ast.AST) -> str:
    """Return a name for ``node``, as the subject of a sentence."""
    name = type(node).__name__
    what = _WORDS.get(name, f"{name} syntax")
    return f"{what} (`{source(node)}`)" if name.startswith("Import") else what


def source(node: ast.AST) -> str:
    """Return the beginning of the text of ``node``."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"


def assigned(statement: ast.stmt) -> set[str]:
    """Return the names that ``statement`` would have set, imports and definitions included."""
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names
