"""What a comparison has to pass, for each precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segship.core.errors import VerificationError
from segship.core.plan import Int8

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from segship.core.comparison import Comparison, Exactness
    from segship.core.manifest import Accuracy

__all__ = ["GATES", "accuracy_failures", "failures", "mask_failures", "require"]

GATES: Mapping[str, float] = {"fp32": 0.9999, "bf16": 0.995, "fp16": 0.995, "int8": Int8().agreement}
"""Least share of equal labels for each precision; that of int8 is of masks."""

# Mean difference of the logits: float32 noise is below 1e-6 in every network of the zoo, a wrong operator far above.
# The mean and not the greatest: PointRend refines the most doubtful points, and which of two equals it picks is noise.
_FP32_DIFFERENCE = 1e-4

# How far an engine may lie from float64, as a multiple of PyTorch's own float32. Of networks that float32 hardly
# computes, roundings decide like dice: PyTorch's four ways lie up to ten times apart there, and an engine is a fifth
# throw, which is the farthest of five once in five times; of these, twice the farthest is rare. One single logit
# says less than the mean of all.
_FARTHER, _FARTHER_AT_MOST = 2.0, 4.0


def failures(checks: Sequence[Comparison], precision: str) -> list[str]:
    """Hold comparisons with the original network against the gate of a precision.

    fp32 must agree at every input, or be as near to float64 there as PyTorch's own float32 is; below it, noise near
    borders is expected, so the share of equal labels counts over all inputs together. int8 is judged by its masks
    (`mask_failures`, `segship.verification.int8`); here it must only be finite.

    Args:
        checks: The comparisons.
        precision: Of the engine.

    Returns:
        What does not hold, in words.
    """
    broken = [check for check in checks if not np.isfinite(check.max_difference)]
    if broken or not checks or precision == "int8":
        return [f"the engine returns NaN or infinity at input {_shape(check)} ({check.image})" for check in broken]
    gate = GATES[precision]
    if precision == "fp32":
        return [_disagreement(check, gate) for check in checks if not _agrees(check, gate)]
    pixels = [check.input[0] * check.input[2] * check.input[3] for check in checks]
    equal = float(np.average([check.labels_equal for check in checks], weights=pixels))
    if equal < gate:
        return [f"{precision}: {equal:.3%} of the labels are equal to the network's (gate {gate:.2%})"]
    return []


def _agrees(check: Comparison, gate: float) -> bool:
    if check.labels_equal >= gate and check.mean_difference <= _FP32_DIFFERENCE:
        return True
    return check.exact is not None and _is_as_near(check.exact, gate)


def _is_as_near(exact: Exactness, gate: float) -> bool:
    """Whether the engine is as near to float64 as PyTorch's float32 is.

    Where float32 computes a network well, this is the gate itself: twice next to nothing is next to nothing. Where
    PyTorch's labels are not even those that fp16 must have, noise would hide a wrong graph, and nothing is accepted.
    Few labels are a matter of luck: where logits are as near, those count that noise does not explain.
    """
    engine, network = exact.engine, exact.network
    wrong = _FARTHER * (1 - network.labels_equal)
    return (
        network.labels_equal >= GATES["fp16"]
        and (engine.labels_equal >= gate - wrong or 1 - exact.beyond_noise >= gate)
        and engine.mean_difference <= _FARTHER * network.mean_difference
        and engine.max_difference <= _FARTHER_AT_MOST * network.max_difference
    )


def mask_failures(checks: Sequence[Comparison], precision: str) -> list[str]:
    """Hold the masks of images against the gate of a precision, over all images together.

    Args:
        checks: Comparisons whose pixels are those of the masks.
        precision: Of the engine.

    Returns:
        What does not hold, in words.
    """
    gate = GATES[precision]
    equal = 1 - sum(check.pixels_differ for check in checks) / sum(check.pixels for check in checks)
    return [f"{precision}: {equal:.3%} of the pixels keep their label (gate {gate:.2%})"] if equal < gate else []


def accuracy_failures(before: Accuracy, after: Accuracy, options: Int8, error: float = 0.0) -> list[str]:
    """Hold the IoU of int8 against that of the original network.

    Args:
        before: Of the original network.
        after: Of the engine, on the same images.
        options: What int8 may cost.
        error: Standard error of the change of mIoU, in points, which is added to it.

    Returns:
        What does not hold, in words; empty: the gate is passed.
    """
    found = []
    change = after.mIoU - before.mIoU
    if not abs(change) + error <= options.drop:
        known = f"{change:+.2f} ± {error:.2f}" if error else f"{change:+.2f}"
        found.append(f"mIoU {before.mIoU:.2f} -> {after.mIoU:.2f} ({known}, at most {options.drop:g} allowed)")
    for name, old in before.IoU.items():
        new = after.IoU.get(name, 0.0)
        if not old - new <= options.class_drop:
            found.append(f"{name} {old:.2f} -> {new:.2f} ({new - old:+.2f}, at most -{options.class_drop:g} allowed)")
    return found


def require(checks: Sequence[Comparison], precision: str) -> None:
    """Insist on the gate of a precision.

    Raises:
        VerificationError: It fails; the message names the input and the figures.
    """
    found = failures(checks, precision)
    if found:
        raise VerificationError(found[0])


def _disagreement(check: Comparison, gate: float) -> str:
    text = (
        f"the engine does not agree with the network at input {_shape(check)} ({check.image}): "
        f"{check.labels_equal:.4%} of the labels are equal (gate {gate:.2%})"
    )
    if check.has_logits:
        text += (
            f", logits differ by {check.mean_difference:.1e} of the greatest on average, "
            f"{check.max_difference:.1e} at most"
        )
    return text if check.exact is None else f"{text}; {check.exact.in_words()}"


def _shape(check: Comparison) -> str:
    return "x".join(map(str, check.input))
