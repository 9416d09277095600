"""Compare an engine with the original network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from segship.core.errors import VerificationError
from segship.core.manifest import Check

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.spec import ModelSpec

__all__ = ["GATES", "Sample", "compare", "require"]

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
    return Check(
        input=image.shape,
        image=name,
        labels_equal=float(_labels_equal(expected, found, greatest, spec).mean()),
        max_difference=float(difference.max()) / greatest,
        mean_difference=float(difference.mean()) / greatest,
    )


def _labels_equal(
    expected: NDArray[np.float32], found: NDArray[np.float32], greatest: float, spec: ModelSpec
) -> NDArray[np.bool_]:
    """(N, h, w): whether the label is the same, or the original is undecided within float32 noise."""
    if spec.output == "sigmoid":
        border = np.float32(np.log(spec.threshold / (1 - spec.threshold)))
        margin = np.abs(expected[:, 0] - border)
        same: NDArray[np.bool_] = (expected[:, 0] > border) == (found[:, 0] > border)
        same |= np.less(margin, _UNDECIDED * greatest)
        return same
    best, chosen = expected.argmax(1)[:, None], found.argmax(1)[:, None]
    margin = np.take_along_axis(expected, best, 1) - np.take_along_axis(expected, chosen, 1)
    equal: NDArray[np.bool_] = np.less(margin[:, 0], _UNDECIDED * greatest)
    return equal


def require(checks: Iterable[Check], precision: str) -> None:
    """Hold the comparison against the gate of its precision.

    Raises:
        VerificationError: A gate fails; the message names the input and the figures.
    """
    gate = GATES[precision]
    for check in checks:
        wrong = check.labels_equal < gate or not np.isfinite(check.max_difference)
        if wrong or (precision == "fp32" and check.mean_difference > _FP32_DIFFERENCE):
            shape = "x".join(map(str, check.input))
            raise VerificationError(
                f"the engine does not agree with the network at input {shape} ({check.image}): "
                f"{check.labels_equal:.4%} of the labels are equal (gate {gate:.2%}), "
                f"logits differ by {check.mean_difference:.1e} of the greatest on average, "
                f"{check.max_difference:.1e} at most"
            )
