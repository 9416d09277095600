"""Temperature scaling and the expected calibration error, on logits of single pixels.

Both as in Guo et al., "On Calibration of Modern Neural Networks", arXiv:1706.04599.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BINS", "Bin", "fit_temperatures", "negative_log_likelihood", "probabilities", "reliability"]

BINS = 15
"""Bins of equal width, as the paper has them."""

_LOWEST, _HIGHEST = 0.01, 100.0  # temperatures; beyond, all is certain or nothing is
_STEPS, _HALVINGS = 60, 30
_SMALL = 1e-13  # change of the likelihood at which a fit ends
_PART = 1 << 16  # pixels at a time


class Bin(NamedTuple):
    """The pixels whose confidence lies within one bin; see `segship.core.calibration.ReliabilityBin`."""

    confidence: float
    accuracy: float
    pixels: int


def probabilities(logits: NDArray[np.float32], temperatures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax of logits that are divided by temperatures.

    Args:
        logits: float32 (n, K).
        temperatures: One, or K.

    Returns:
        float64 (n, K) in 0-1.
    """
    scaled = logits / temperatures
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    found: NDArray[np.float64] = np.divide(scaled, scaled.sum(axis=1, keepdims=True), out=scaled)
    return found


def negative_log_likelihood(
    logits: NDArray[np.float32], truth: NDArray[np.intp], temperatures: NDArray[np.float64]
) -> float:
    """The mean negative log likelihood of the true labels.

    Args:
        logits: float32 (n, K).
        truth: (n,) true labels, below K.
        temperatures: One, or K.
    """
    total = 0.0
    for first in range(0, len(logits), _PART):
        scaled = logits[first : first + _PART] / temperatures
        most = scaled.max(axis=1)
        right = scaled[np.arange(len(scaled)), truth[first : first + _PART]]
        total += float((np.log(np.exp(scaled - most[:, None]).sum(axis=1)) + most - right).sum())
    return total / max(1, len(logits))


def fit_temperatures(
    logits: NDArray[np.float32], truth: NDArray[np.intp], *, per_class: bool = False
) -> NDArray[np.float64]:
    """Find the temperatures with which the true labels are likeliest.

    The likelihood is convex in the reciprocals, so that Newton's steps, halved where they go too far, find its one
    minimum. Temperatures stay within 0.01-100. A class that is never the true one keeps the common temperature: the
    images say nothing of it.

    Args:
        logits: float32 (n, K), finite.
        truth: (n,) true labels, below K.
        per_class: A temperature for each class rather than one for all.

    Returns:
        float64 (1,) or (K,).
    """
    common = _fitted(logits, truth, np.ones(1), np.ones(1, bool))
    if not per_class:
        return 1 / common
    seen = np.bincount(truth, minlength=logits.shape[1]) > 0
    return 1 / _fitted(logits, truth, np.repeat(common, logits.shape[1]), seen)


def _fitted(
    logits: NDArray[np.float32], truth: NDArray[np.intp], factors: NDArray[np.float64], free: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Reciprocal temperatures, of which those that are ``free`` move."""
    value = negative_log_likelihood(logits, truth, 1 / factors)
    for _ in range(_STEPS):
        slope, curve = _derivatives(logits, truth, factors)
        held = ~free | ((factors >= 1 / _LOWEST) & (slope < 0)) | ((factors <= 1 / _HIGHEST) & (slope > 0))
        moves = np.flatnonzero(~held)
        step = np.zeros_like(factors)
        ridge = np.eye(len(moves)) * (1e-9 + 1e-9 * np.trace(curve) / len(curve))
        step[moves] = np.linalg.solve(curve[np.ix_(moves, moves)] + ridge, slope[moves])
        found = _downhill(logits, truth, factors, step, value)
        if found is None:
            break
        gain, factors, value = value - found[1], *found
        if gain <= _SMALL * max(1.0, abs(value)):
            break
    return factors


def _downhill(
    logits: NDArray[np.float32],
    truth: NDArray[np.intp],
    factors: NDArray[np.float64],
    step: NDArray[np.float64],
    value: float,
) -> tuple[NDArray[np.float64], float] | None:
    """Where a step leads to, halved until it goes down; None: it never does."""
    for halving in range(_HALVINGS):
        tried = np.clip(factors - step / 2**halving, 1 / _HIGHEST, 1 / _LOWEST)
        lower = negative_log_likelihood(logits, truth, 1 / tried)
        if lower < value:
            return tried, lower
    return None


def _derivatives(
    logits: NDArray[np.float32], truth: NDArray[np.intp], factors: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second derivative of the likelihood by the reciprocal temperatures."""
    classes = logits.shape[1]
    slope, curve = np.zeros(classes), np.zeros((classes, classes))
    for first in range(0, len(logits), _PART):
        part = logits[first : first + _PART].astype(np.float64)
        some = truth[first : first + _PART]
        weighted = probabilities(logits[first : first + _PART], 1 / factors) * part
        slope += weighted.sum(axis=0)
        slope -= np.bincount(some, weights=part[np.arange(len(part)), some], minlength=classes)
        curve += np.diag((weighted * part).sum(axis=0)) - weighted.T @ weighted
    slope, curve = slope / len(logits), curve / len(logits)
    if len(factors) == 1:
        return slope.sum(keepdims=True), curve.sum(keepdims=True)
    return slope, curve


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> tuple[float, list[Bin]]:
    """The expected calibration error and the diagram that it is the mean of.

    Args:
        confidence: (n,) probability of the label that a pixel was given, 0-1.
        right: (n,) whether it is the true one.
        bins: How many, of equal width: the first holds 0, and each its upper end.

    Returns:
        The error, 0-1, and the bins that hold pixels, by rising confidence.
    """
    place = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=confidence, minlength=bins)
    hits = np.bincount(place, weights=right, minlength=bins)
    found = [
        Bin(float(min(1.0, sums[number] / counts[number])), float(hits[number] / counts[number]), int(counts[number]))
        for number in np.flatnonzero(counts)
    ]
    error = sum(one.pixels * abs(one.accuracy - one.confidence) for one in found) / max(1, len(confidence))
    return float(error), found
