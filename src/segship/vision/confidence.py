"""Scores divided by temperatures, how sure a network is of a pixel, and labels that are not sure enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from segship.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "REJECTED",
    "ConfidenceKind",
    "as_grey",
    "confidence",
    "label_probability",
    "probabilities",
    "reject",
    "require_kind",
    "require_rejectable",
    "scale_logits",
    "sharpen",
]

ConfidenceKind: TypeAlias = Literal["probability", "margin", "entropy"]
"""``probability``: the greatest of a pixel; ``margin``: that less the next; ``entropy``: one less the entropy as a
share of the most there can be. In each, 1 is sure."""

REJECTED = 255
"""Label of pixels that are not sure enough."""

_LEAST = np.float32(1e-37)  # of a probability whose logarithm is taken


def scale_logits(logits: NDArray[np.float32], temperatures: Sequence[float]) -> NDArray[np.float32]:
    """Divide logits by temperatures. Resizing and averaging are linear, so that it may be done before them.

    Args:
        logits: float32 (..., C, h, w).
        temperatures: One, or C.
    """
    scaled: NDArray[np.float32] = logits * (1 / np.asarray(temperatures, np.float64)).astype(np.float32)[:, None, None]
    return scaled


def sharpen(scores: NDArray[np.float32], temperatures: Sequence[float], *, sigmoid: bool) -> NDArray[np.float32]:
    """Divide the logarithms of probabilities by temperatures, for networks with softmax or sigmoid inside.

    Args:
        scores: float32 (C, H, W) in 0-1, as they are at the image's size.
        temperatures: One, or C.
        sigmoid: Each channel by itself, rather than all of a pixel together.

    Returns:
        float32 (C, H, W) in 0-1; of a softmax they sum to 1.
    """
    powers = (1 / np.asarray(temperatures, np.float64)).astype(np.float32)[:, None, None]
    logs = np.log(np.maximum(scores, _LEAST))
    if sigmoid:
        logs = (logs - np.log(np.maximum(1 - scores, _LEAST))) * powers
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-logs)), np.float32)
    logs *= powers
    logs -= logs.max(axis=0)
    np.exp(logs, out=logs)
    return np.asarray(np.divide(logs, logs.sum(axis=0), out=logs), np.float32)


def probabilities(
    logits: NDArray[np.float32],
    resize: Callable[..., NDArray[np.float32]],
    temperatures: Sequence[float],
    *,
    sigmoid: bool,
    activated: bool,
) -> NDArray[np.float32]:
    """Probabilities at the image's size, divided by temperatures.

    Args:
        logits: float32 (..., C, h, w), what a network returns.
        resize: Takes them, ``sigmoid`` and ``activated`` as `segship.vision.upsample.scores` does.
        temperatures: One, or C; none: the network's own probabilities.
        sigmoid: Each channel by itself, rather than all of a pixel together.
        activated: What is called logits are probabilities.

    Returns:
        float32 (C, H, W) in 0-1.
    """
    if temperatures and activated:
        return sharpen(resize(logits, sigmoid=sigmoid, activated=True), temperatures, sigmoid=sigmoid)
    scaled = scale_logits(logits, temperatures) if temperatures else logits
    return resize(scaled, sigmoid=sigmoid, activated=activated)


def require_kind(kind: object) -> None:
    """Make sure that there is such a measure.

    Raises:
        InputError: There is not.
    """
    if kind not in get_args(ConfidenceKind):
        raise InputError(f"there is no confidence {kind!r:.40}: ask for {' or '.join(get_args(ConfidenceKind))}")


def confidence(scores: NDArray[np.float32], kind: ConfidenceKind, *, sigmoid: bool) -> NDArray[np.float32]:
    """Measure how sure a network is of each pixel.

    Args:
        scores: float32 (C, H, W) in 0-1.
        kind: As of `ConfidenceKind`.
        sigmoid: The one channel is the probability of label 1.

    Returns:
        float32 (H, W) in 0-1.
    """
    require_kind(kind)
    planes = [1 - scores[0], scores[0]] if sigmoid else list(scores)
    if kind == "entropy":
        total = np.zeros_like(planes[0])
        for plane in planes:
            total += plane * np.log(np.maximum(plane, _LEAST))
        share: NDArray[np.float32] = np.clip(1 + total / np.float32(np.log(max(2, len(planes)))), 0, 1)
        return share
    best, second = planes[0].copy(), np.zeros_like(planes[0])
    for plane in planes[1:]:
        np.maximum(second, np.minimum(best, plane), out=second)
        np.maximum(best, plane, out=best)
    found: NDArray[np.float32] = np.clip(best if kind == "probability" else best - second, 0, 1)
    return found


def as_grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values of 0-1 as grey values of 0-255; undefined ones are 0."""
    return np.rint(np.nan_to_num(values, nan=0.0) * 255).astype(np.uint8)


def label_probability(scores: NDArray[np.float32], mask: NDArray[Any], *, sigmoid: bool) -> NDArray[np.float32]:
    """The probability of the label that each pixel has.

    Args:
        scores: float32 (C, H, W) in 0-1.
        mask: Labels (H, W); one that is no class's has the probability 0.
        sigmoid: The one channel is the probability of label 1.

    Returns:
        float32 (H, W) in 0-1.
    """
    if sigmoid:
        decided: NDArray[np.float32] = np.where(mask == 1, scores[0], 1 - scores[0])
        return decided
    places = np.minimum(mask, len(scores) - 1)[None].astype(np.intp)
    found: NDArray[np.float32] = np.take_along_axis(scores, places, axis=0)[0]
    return np.where(mask < len(scores), found, np.float32(0))


def require_rejectable(least: object, classes: int) -> None:
    """Make sure that pixels can be labelled `REJECTED`.

    Args:
        least: The least probability that is accepted.
        classes: How many the network has.

    Raises:
        InputError: The number is none of 0-1, or the label is that of a class.
    """
    if isinstance(least, bool) or not isinstance(least, (int, float)) or not 0 <= least <= 1:
        raise InputError(f"reject is {least!r:.40}: expected a probability within 0-1")
    if classes > REJECTED:
        raise InputError(
            f"rejected pixels get the label {REJECTED}, which is one of the {classes} classes of this network: take "
            "its scores (--scores) instead"
        )


def reject(mask: NDArray[Any], scores: NDArray[np.float32], least: float, *, sigmoid: bool) -> NDArray[Any]:
    """Label the pixels as `REJECTED` whose label is less probable than ``least``, or whose probability is undefined.

    Args:
        mask: Labels (H, W).
        scores: float32 (C, H, W) in 0-1.
        least: Of the probability, 0-1.
        sigmoid: The one channel is the probability of label 1.

    Returns:
        Labels (H, W), a copy.
    """
    sure = label_probability(scores, mask, sigmoid=sigmoid) >= np.float32(least)
    return np.where(sure, mask, mask.dtype.type(REJECTED))
