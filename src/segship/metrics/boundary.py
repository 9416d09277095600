"""Boundary IoU: intersection over union of the pixels near the edges of each class (Cheng et al., arXiv:2103.16562)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.metrics.confusion import IGNORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["boundary_areas", "inner_boundary", "reach"]

_SHARE = 0.02  # of the diagonal: the paper's choice for every data set


def reach(height: int, width: int) -> int:
    """Return the greatest distance from an edge that counts, in pixels: 2 % of the image's diagonal, at least one."""
    return max(1, round(_SHARE * float(np.hypot(height, width))))


def inner_boundary(labels: NDArray[Any], distance: int) -> NDArray[np.bool_]:
    """Return the pixels that have another label, or the image's border, within ``distance`` rows and columns.

    That is what eroding the mask of each class ``distance`` times with a 3x3 square takes away, found for all classes
    at once: the greatest and the least label of a window differ.

    Args:
        labels: (H, W) uint8 or uint16.
        distance: In pixels, at least one.

    Returns:
        bool (H, W).
    """
    window = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    edge = cv2.dilate(labels, window) != cv2.erode(labels, window)
    edge = np.asarray(edge, np.bool_)
    edge[:distance] = edge[-distance:] = True
    edge[:, :distance] = edge[:, -distance:] = True
    return edge


def boundary_areas(
    mask: NDArray[Any], labels: NDArray[Any], classes: int, *, ignore: int = IGNORE
) -> NDArray[np.int64]:
    """Count the pixels of one image that its boundary IoU is made of.

    Args:
        mask: (H, W) predicted labels, all below ``classes``.
        labels: (H, W) true labels, all below ``classes`` or `ignore`; the latter do not count.
        classes: Number of classes.
        ignore: Label of pixels that do not count. Their outline is an edge of both masks.

    Returns:
        int64 (2, classes): intersection and union of each class; sums over images give the figure of a data set.
    """
    distance = reach(*labels.shape)
    counted = labels != ignore
    wide = np.promote_types(mask.dtype, labels.dtype)
    predicted = np.where(counted, mask, ignore).astype(wide)
    truth = np.ascontiguousarray(labels.astype(wide))
    of_mask = inner_boundary(predicted, distance) & counted
    of_truth = inner_boundary(truth, distance) & counted
    both = of_mask & of_truth & (predicted == truth)
    inside = _areas(truth[both], classes)
    return np.stack([inside, _areas(truth[of_truth], classes) + _areas(predicted[of_mask], classes) - inside])


def _areas(labels: NDArray[Any], classes: int) -> NDArray[np.int64]:
    return np.bincount(labels, minlength=classes).astype(np.int64)
