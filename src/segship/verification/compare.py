"""Compare an engine with the original network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segship.core.errors import VerificationError
from segship.core.manifest import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.spec import ModelSpec

__all__ = ["GATES", "Sample", "compare", "failures", "require"]

GATES = {"fp32": 0.9999, "bf16": 0.995, "fp16": 0.995}
"""Least share of equal labels for each precision."""

# Mean difference of the logits: float32 noise is below 1e-6 in every network of the zoo, a wrong operator far above.
# The mean and not the greatest: PointRend refines the most doubtful points, and which of two equals it picks is noise.
_FP32_DIFFERENCE = 1e-4
_UNDECIDED = 1e-5  # of the greatest logit: two classes nearer than this are equal for float32


@dataclass(frozen=True, eq=False)
class Sample:
    """One input and what the original network makes of it.

    Attributes:
        name: Of the image, for the record.
        image: float32 (N, C, H, W), normalised.
        logits: float32 (N, K, h, w), the original's.
    """

    name: str
    image: NDArray[np.float32]
    logits: NDArray[np.float32]


def compare(samples: Iterable[Sample], engine: Session, spec: ModelSpec) -> tuple[Check, ...]:
    """Run an engine on inputs whose logits are known.

    Args:
        samples: Inputs with the original network's logits.
        engine: Takes ``image`` and returns ``logits``.
        spec: How logits become labels.

    Returns:
        One record for each sample.

    Raises:
        VerificationError: The engine's output has another shape, or the network itself returns NaN.
    """
    checks = []
    for sample in samples:
        found = engine.run({"image": sample.image})["logits"]
        if sample.logits.shape != found.shape:
            raise VerificationError(
                f"at input {sample.image.shape} the engine returns {found.shape}, "
                f"the network {sample.logits.shape}: do not use it"
            )
        checks.append(_check(sample.name, sample.image, sample.logits, found, spec))
    return tuple(checks)


def _check(
    name: str, image: NDArray[np.float32], expected: NDArray[np.float32], found: NDArray[np.float32], spec: ModelSpec
) -> Check:
    if not np.isfinite(expected).all():
        raise VerificationError(f"the network itself returns NaN or infinity at input {image.shape}: check its weights")
    difference = np.abs(expected - found)
    greatest = float(np.abs(expected).max()) or 1.0
    equal = _labels_equal(expected, found, greatest, spec)
    return Check(
        input=image.shape,
        image=name,
        labels_equal=float(equal.mean()),
        max_difference=float(difference.max()) / greatest,
        mean_difference=float(difference.mean()) / greatest,
        classes=_by_class(_labels(expected, spec), equal, spec),
    )


def _labels(logits: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.intp]:
    if spec.output == "sigmoid":
        return (logits[:, 0] > _border(spec)).astype(np.intp)
    winners: NDArray[np.intp] = logits.argmax(1)
    return winners


def _border(spec: ModelSpec) -> np.float32:
    """The logit whose sigmoid is the threshold."""
    return np.float32(np.log(spec.threshold / (1 - spec.threshold)))


def _by_class(labels: NDArray[np.intp], equal: NDArray[np.bool_], spec: ModelSpec) -> dict[str, float]:
    """Share of equal labels for each class that occurs."""
    count = np.bincount(labels.ravel(), minlength=len(spec.classes))
    right = np.bincount(labels.ravel(), equal.ravel(), minlength=len(spec.classes))
    return {name: float(good / every) for name, good, every in zip(spec.classes, right, count, strict=False) if every}


def _labels_equal(
    expected: NDArray[np.float32], found: NDArray[np.float32], greatest: float, spec: ModelSpec
) -> NDArray[np.bool_]:
    """(N, h, w): whether the label is the same, or the original is undecided within float32 noise."""
    if spec.output == "sigmoid":
        border = _border(spec)
        margin = np.abs(expected[:, 0] - border)
        same: NDArray[np.bool_] = (expected[:, 0] > border) == (found[:, 0] > border)
        same |= np.less(margin, _UNDECIDED * greatest)
        return same
    best, chosen = expected.argmax(1)[:, None], found.argmax(1)[:, None]
    margin = np.take_along_axis(expected, best, 1) - np.take_along_axis(expected, chosen, 1)
    equal: NDArray[np.bool_] = np.less(margin[:, 0], _UNDECIDED * greatest)
    return equal


def failures(checks: Sequence[Check], precision: str) -> list[str]:
    """Hold the comparison against the gate of its precision.

    fp32 must agree at every input; below it, noise near borders is expected, so the share of equal labels counts over
    all inputs together. int8 has a gate of its own, on masks; here it must only be finite.

    Args:
        checks: The comparison.
        precision: Of the engine.

    Returns:
        What does not hold, in words.
    """
    broken = [check for check in checks if not np.isfinite(check.max_difference)]
    if broken or not checks:
        return [f"the engine returns NaN or infinity at input {_shape(check)} ({check.image})" for check in broken]
    gate = GATES.get(precision, 0.0)
    if precision == "fp32":
        wrong = [check for check in checks if check.labels_equal < gate or check.mean_difference > _FP32_DIFFERENCE]
        return [
            f"the engine does not agree with the network at input {_shape(check)} ({check.image}): "
            f"{check.labels_equal:.4%} of the labels are equal (gate {gate:.2%}), "
            f"logits differ by {check.mean_difference:.1e} of the greatest on average, "
            f"{check.max_difference:.1e} at most"
            for check in wrong
        ]
    pixels = [check.input[0] * check.input[2] * check.input[3] for check in checks]
    equal = float(np.average([check.labels_equal for check in checks], weights=pixels))
    if equal < gate:
        return [f"{precision}: {equal:.3%} of the labels are equal to the network's (gate {gate:.2%})"]
    return []


def _shape(check: Check) -> str:
    return "x".join(map(str, check.input))


def require(checks: Sequence[Check], precision: str) -> None:
    """Insist on the gate of a precision.

    Raises:
        VerificationError: It fails; the message names the input and the figures.
    """
    found = failures(checks, precision)
    if found:
        raise VerificationError(found[0])
