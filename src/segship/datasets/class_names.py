"""Names and colours for classes of files that carry none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.datasets import find_layout
from segship.vision.palette import generate

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Naming"]

Colours = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Naming:
    """What a user says of classes that the files themselves do not name.

    Attributes:
        names: In the order of the labels.
        layout: Data set whose classes and colours they are: ``cityscapes``.
    """

    names: tuple[str, ...] = ()
    layout: str | None = None

    @property
    def reduce_zero_label(self) -> bool:
        """Whether label 0 of the data set's files means "ignore" and all others move down by one."""
        return self.layout is not None and find_layout(self.layout).reduce_zero_label

    def classes(self, count: int | None, where: Path) -> tuple[tuple[str, ...], Colours, tuple[str, ...]]:
        """Names, colours, and notes for the user.

        Args:
            count: How many there must be; None: the files do not say.
            where: For error messages.

        Raises:
            InputError: Another number is named, or nobody says how many there are.
        """
        known = find_layout(self.layout) if self.layout else None
        names = self.names or (known.classes if known is not None else ())
        if count is None and not names:
            raise InputError(f"{where} does not say how many classes there are: name them, or their data set's layout")
        if names and count is not None and len(names) != count:
            raise InputError(f"{where} has {count} classes, but {len(names)} are named: {', '.join(names)}")
        if not names:
            notes = ("The classes have no names: they are called class-0, class-1, …",)
            return tuple(f"class-{number}" for number in range(count or 0)), generate(count or 0), notes
        colours = known.palette if known is not None and len(known.palette) == len(names) else generate(len(names))
        return names, colours, ()
