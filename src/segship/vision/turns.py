"""Turned and flipped views of a rectangle: where its parts lie, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.augmentation import Flip

    Place = tuple[slice, slice]

__all__ = ["Turn"]


@dataclass(frozen=True)
class Turn:
    """Quarter turns, then a flip.

    Attributes:
        turns: Quarter turns, counter-clockwise.
        flip: Direction of the flip, or None.
    """

    turns: int = 0
    flip: Flip | None = None

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of what is seen of a picture of ``size``."""
        return size[::-1] if self.turns % 2 else size

    def seen(self, place: Place, size: tuple[int, int]) -> Place:
        """Return where a part of the picture is seen.

        Args:
            place: Rows and columns of the picture, each with a start and a stop.
            size: (height, width) of the picture.
        """
        rows, columns = place
        for turn in range(self.turns):
            width = size[1 - turn % 2]
            rows, columns = _mirrored(columns, width), rows
        return self._flipped((rows, columns), self.size(size))

    def stored(self, place: Place, size: tuple[int, int]) -> Place:
        """Return which part of the picture is seen at a place; arguments as for `seen`, ``place`` of what is seen."""
        rows, columns = self._flipped(place, self.size(size))
        for turn in reversed(range(self.turns)):
            width = size[1 - turn % 2]
            rows, columns = columns, _mirrored(rows, width)
        return rows, columns

    def _flipped(self, place: Place, size: tuple[int, int]) -> Place:
        rows, columns = place
        if self.flip == "vertical":
            return _mirrored(rows, size[0]), columns
        return rows, _mirrored(columns, size[1]) if self.flip == "horizontal" else columns

    def turn(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn pixels (H, W, ...), and do not flip them."""
        return np.ascontiguousarray(np.rot90(pixels, self.turns)) if self.turns else pixels

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn and flip pixels (H, W, ...)."""
        turned = self.turn(pixels)
        if self.flip is None:
            return turned
        return np.ascontiguousarray(turned[:, ::-1] if self.flip == "horizontal" else turned[::-1])

    def undo(self, planes: NDArray[Any]) -> NDArray[Any]:
        """Bring planes (C, H, W) of what is seen back to the picture."""
        if self.flip is not None:
            planes = planes[:, :, ::-1] if self.flip == "horizontal" else planes[:, ::-1]
        return np.rot90(planes, -self.turns, axes=(1, 2)) if self.turns else planes


def _mirrored(part: slice, length: int) -> slice:
    return slice(length - part.stop, length - part.start)
