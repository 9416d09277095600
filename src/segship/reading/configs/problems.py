"""What a config may not hold, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.reading.configs.syntax import tidy

if TYPE_CHECKING:
    import ast

__all__ = ["Problem", "RefusedError"]


@dataclass(frozen=True)
class Problem:
    """Something a config may not hold.

    Attributes:
        line: Where, counted from 1.
        text: What it is and what was expected.
    """

    line: int
    text: str


class RefusedError(Exception):
    """A statement or expression that cannot be read.

    Args:
        node: Where.
        text: What; None where it only follows from an earlier problem.
    """

    def __init__(self, node: ast.AST, text: str | None) -> None:
        super().__init__(text)
        self.problem = None if text is None else Problem(getattr(node, "lineno", 1), tidy(text))
