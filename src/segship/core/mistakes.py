"""What is wrong with data that was read: each mistake, and all of them as one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mistake", "ValidationError"]


class Mistake(NamedTuple):
    """One value that is not what was expected.

    Attributes:
        place: Names of fields and indices that lead to it.
        said: What was expected, as ``input should be greater than 0``.
        value: What was found.
        kind: ``"missing"``: there is no value; ``"unknown"``: there is no such field.
    """

    place: tuple[str | int, ...]
    said: str
    value: Any = None
    kind: Literal["wrong", "missing", "unknown"] = "wrong"


class ValidationError(ValueError):
    """Data is not what its record allows.

    Args:
        mistakes: All that were found.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{'.'.join(map(str, one.place))} {one.said}".strip() for one in self.mistakes))

    def below(self, *place: str | int) -> list[Mistake]:
        """Return the mistakes, as those of a record that holds this one at ``place``."""
        return [one._replace(place=(*place, *one.place)) for one in self.mistakes]
