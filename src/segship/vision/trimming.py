"""Borders that are zero in all channels: cut off an image before anything else, and put around its mask again.

nnU-Net's ``crop_to_nonzero``, and what its export does with labels and probabilities afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from segship.core.augmentation import Flip

__all__ = ["Frame", "trim_zeros"]


@dataclass(frozen=True)
class Frame:
    """Where what is left of an image lay in it.

    Attributes:
        size: (height, width) of the image.
        origin: (top, left) of what is left.
        inner: (height, width) of what is left.
    """

    size: tuple[int, int]
    origin: tuple[int, int]
    inner: tuple[int, int]

    def flipped(self, flip: Flip) -> Frame:
        """Return the frame of the image flipped in a direction."""
        (height, width), (top, left), (rows, columns) = self.size, self.origin, self.inner
        return replace(
            self, origin=(top, width - left - columns) if flip == "horizontal" else (height - top - rows, left)
        )

    def around(self, values: NDArray[Any], *, first: float = 0) -> NDArray[Any]:
        """Put labels or scores into the frame.

        Args:
            values: Labels (h, w), or numbers (C, h, w) of each class, of what is left.
            first: What the first class is given outside; labels, and all other classes, are 0 there.

        Returns:
            The same at the image's size.
        """
        whole = np.zeros((*values.shape[:-2], *self.size), values.dtype)
        if whole.ndim > 2:
            whole[0] = first
        (top, left), (rows, columns) = self.origin, self.inner
        whole[..., top : top + rows, left : left + columns] = values
        return whole


def trim_zeros(image: NDArray[Any]) -> tuple[NDArray[Any], Frame | None]:
    """Cut the borders off that are zero in all channels.

    Args:
        image: (H, W, C).

    Returns:
        The image within them, and where it lay; an image that has none, or nothing else, as it is, and None.
    """
    seen = np.any(image, axis=2)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not rows.size:
        return image, None
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    size, inner = (image.shape[0], image.shape[1]), (bottom - top, right - left)
    if inner == size:
        return image, None
    return np.ascontiguousarray(image[top:bottom, left:right]), Frame(size, (top, left), inner)
