"""Confusion matrix and the figures that follow from it, with MMSegmentation's definitions (``IoUMetric``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IGNORE", "Scores", "areas", "confusion_matrix", "iou", "mean_of", "reduce_zero_label", "scores"]

IGNORE = 255
"""Label of pixels that do not count."""

_BYTE = 256
_EXACT = 1 << 24  # pixels that OpenCV's histogram, which is float32, counts without rounding


def reduce_zero_label(labels: NDArray[Any]) -> NDArray[Any]:
    """Turn label 0 into `IGNORE` and move the others down by one (mmseg ``reduce_zero_label``).

    Args:
        labels: (H, W) uint8 or uint16.

    Returns:
        Array of the same type; `IGNORE` stays `IGNORE`.
    """
    keep = (labels != 0) & (labels != IGNORE)
    return np.where(keep, labels - 1, IGNORE).astype(labels.dtype)


def confusion_matrix(
    mask: NDArray[Any], labels: NDArray[Any], classes: int, *, ignore: int = IGNORE
) -> NDArray[np.int64]:
    """Count pixels by true and predicted class.

    Args:
        mask: (H, W) predicted labels, all below ``classes``.
        labels: (H, W) true labels; `ignore` does not count.
        classes: Number of classes.
        ignore: Label of pixels that do not count.

    Returns:
        int64 (classes, classes): rows are true, columns predicted.

    Raises:
        InputError: The shapes differ, or a true label is neither a class nor `ignore`.
    """
    if mask.shape != labels.shape:
        raise InputError(f"the mask is {mask.shape[:2]} pixels, its label map {labels.shape[:2]}: they must be equal")
    small = mask.dtype == labels.dtype == np.uint8 and classes < _BYTE
    matrix, greatest = (_count_bytes if small else _count)(mask, labels, classes, ignore)
    if greatest >= classes:
        raise InputError(
            f"label {greatest} occurs, the network has the classes 0 to {classes - 1}: "
            "wrong label files, or --reduce-zero-label is needed"
        )
    return matrix


def _count_bytes(
    mask: NDArray[np.uint8], labels: NDArray[np.uint8], classes: int, ignore: int
) -> tuple[NDArray[np.int64], int]:
    """As `_count`, in a tenth of the time, for what fits into bytes."""
    rows = np.zeros((_BYTE, classes), np.int64)
    step = max(1, _EXACT // max(1, mask.shape[1]))
    for first in range(0, len(mask), step):
        bands = [np.ascontiguousarray(values[first : first + step]) for values in (labels, mask)]
        rows += cv2.calcHist(bands, [0, 1], None, [_BYTE, classes], [0, _BYTE, 0, classes]).astype(np.int64)
    rows[ignore : ignore + 1] = 0
    return rows[:classes], int(np.flatnonzero(rows.any(1)).max(initial=0))


def _count(mask: NDArray[Any], labels: NDArray[Any], classes: int, ignore: int) -> tuple[NDArray[np.int64], int]:
    """The matrix of the pixels that count, and the greatest true label among them."""
    counted = labels != ignore
    truth = labels[counted].astype(np.int64)
    greatest = int(truth.max(initial=0))
    if greatest >= classes:
        return np.zeros((classes, classes), np.int64), greatest
    pairs = truth * classes + mask[counted]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes), greatest


@dataclass(frozen=True)
class Scores:
    """Figures in percent; NaN for a class where the figure has no meaning, as one that neither occurs nor is predicted.

    Attributes:
        aAcc: Share of all counted pixels that are right.
        mIoU: Mean over the classes of intersection over union.
        mAcc: Mean over the classes of the share of their pixels that are right.
        IoU, Acc: (classes,) the same for each class.
        Dice: (classes,) twice the intersection over the sum of both areas.
        Precision: (classes,) share of the pixels predicted as the class that are of it.
        Recall: (classes,) the same as ``Acc``, under the name that goes with precision.
        Fscore: (classes,) harmonic mean of precision and recall.
    """

    aAcc: float
    mIoU: float
    mAcc: float
    IoU: NDArray[np.float64]
    Acc: NDArray[np.float64]
    Dice: NDArray[np.float64]
    Precision: NDArray[np.float64]
    Recall: NDArray[np.float64]
    Fscore: NDArray[np.float64]

    @property
    def means(self) -> dict[str, float]:
        """``aAcc``, and the mean over the classes of every other figure under its name with an ``m`` before it."""
        return {"aAcc": self.aAcc} | {f"m{name}": mean_of(values) for name, values in self.per_class.items()}

    @property
    def per_class(self) -> dict[str, NDArray[np.float64]]:
        """Every figure that each class has, by name."""
        names = ("IoU", "Acc", "Dice", "Fscore", "Precision", "Recall")
        return {name: getattr(self, name) for name in names}


def scores(matrix: NDArray[np.int64], *, beta: float = 1, nan: float | None = None) -> Scores:
    """Return the figures of a confusion matrix (rows true, columns predicted).

    Classes for which a figure has no meaning are left out of its mean, as MMSegmentation does with ``nanmean``.

    Args:
        matrix: int64 (classes, classes).
        beta: Weight of recall in ``Fscore``.
        nan: Per cent that stand for a figure without a meaning, in its mean as well; None: NaN, which is left out.

    Returns:
        The figures, in percent.
    """
    right, truth, predicted = areas(matrix).astype(np.float64)
    overlap = iou(areas(matrix))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = 100 * right / truth
        precision = 100 * right / predicted
        dice = 200 * right / (truth + predicted)
        fscore = (1 + beta**2) * precision * recall / (beta**2 * precision + recall)
        overall = 100 * right.sum() / matrix.sum()
    if nan is not None:
        figures = (overlap, recall, precision, dice, fscore, overall)
        overlap, recall, precision, dice, fscore, overall = (np.nan_to_num(figure, nan=nan) for figure in figures)
    return Scores(
        aAcc=float(overall),
        mIoU=mean_of(overlap),
        mAcc=mean_of(recall),
        IoU=overlap,
        Acc=recall,
        Dice=dice,
        Precision=precision,
        Recall=recall,
        Fscore=fscore,
    )


def areas(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (3, classes): the pixels of each class that are right, those that are of it, and those predicted as it."""
    return np.stack((np.diag(matrix), matrix.sum(1), matrix.sum(0)))


def iou(areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the intersection over union of each class, in percent, from its `areas`; NaN where it does not occur."""
    right, truth, predicted = areas.astype(np.float64)
    with np.errstate(invalid="ignore"):
        overlap: NDArray[np.float64] = 100 * right / (truth + predicted - right)
    return overlap


def mean_of(values: NDArray[np.float64]) -> float:
    """Return the mean of what is not NaN; NaN where nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
