"""Maps of labels: how wide their numbers are, and how they are resized once they are decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.vision.upsample import Step

__all__ = ["label_dtype", "resize_labels"]


def label_dtype(classes: int) -> type[np.uint8 | np.uint16]:
    """Return the narrowest type that holds the labels of ``classes`` classes: uint8 up to 256 of them, else uint16."""
    return np.uint8 if classes <= np.iinfo(np.uint8).max + 1 else np.uint16


def resize_labels(labels: NDArray[Any], steps: Sequence[Step], classes: int) -> NDArray[np.uint8 | np.uint16]:
    """Take labels through ``steps`` by nearest neighbours (OpenCV's ``INTER_NEAREST``).

    Where the two sizes differ, borders are coarser than those of resized logits, and up to half a cell away from them.

    Args:
        labels: (h, w), of any kind of whole number, each in 0-(``classes`` - 1).
        steps: Resizes and crops, in order.
        classes: How many there are.

    Returns:
        (H, W) at the size of the last step, uint8, or uint16 where there are more than 256 classes.
    """
    found: Any = labels.astype(label_dtype(classes))
    for step in steps:
        if found.shape != step.size:
            found = cv2.resize(found, step.size[::-1], interpolation=cv2.INTER_NEAREST)
        (height, width), (top, left) = step.crop or step.size, step.origin
        found = found[top : top + height, left : left + width]
    resized: NDArray[np.uint8 | np.uint16] = np.ascontiguousarray(found)
    return resized
