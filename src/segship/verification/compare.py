"""One comparison: the output of a candidate held against that of a reference, as logits or as labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from segship.core.errors import VerificationError
from segship.core.manifest import Comparison
from segship.vision import upsample
from segship.vision.tiling import mean_of_members
from segship.vision.upsample import score_above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.vision.upsample import Step

    Shape = tuple[int, int, int, int]

__all__ = ["Reference", "compare", "compare_labels"]

_UNDECIDED = 1e-5  # of the greatest logit: two classes nearer than this are equal for float32
_BLOCK = 1 << 14  # pixels that are looked at again together
_IMAGE_RANK = 3


@dataclass(frozen=True, eq=False)
class Reference:
    """One input with the original network's outputs.

    Attributes:
        name: Of the image, for the record.
        image: What the candidate is given: float32 (N, C, H, W), normalised; or uint8 (H, W, 3), RGB.
        logits: float32 (N, K, h, w), the original's.
        steps: Resizes from the logits' size to that of the labels that are compared; empty: the logits' own size.
        tensor: What the network was given, float32 (N, C, H, W), where that is not what the candidate is given.
    """

    name: str
    image: NDArray[Any]
    logits: NDArray[np.float32]
    steps: tuple[Step, ...] = ()
    tensor: NDArray[np.float32] | None = None

    @property
    def input(self) -> Shape:
        """Shape of the input (N, C, H, W)."""
        shape = self.image.shape
        return cast("Shape", (1, shape[2], *shape[:2]) if len(shape) == _IMAGE_RANK else shape)


def compare(reference: Reference, output: NDArray[Any], spec: ModelSpec, *, noise: float = _UNDECIDED) -> Comparison:
    """Compare an output with the original network's.

    Labels are equal where the two agree, or where the original is undecided within its noise between its own label and
    the candidate's.

    Args:
        reference: The input, and the original's logits.
        output: Of the candidate for that input: logits of the same shape; or labels, any whole numbers, at the size
            that ``reference.steps`` end at.
        spec: How logits become labels.
        noise: Of the original's logits, as a share of the greatest.

    Returns:
        The record. Undefined values (NaN) of the candidate make its differences undefined.

    Raises:
        VerificationError: The output has another shape, or the network itself returns NaN.
    """
    logits = reference.logits
    if not np.isfinite(logits).all():
        raise VerificationError(
            f"the network itself returns NaN or infinity at input {reference.input}: check its weights"
        )
    greatest = float(np.abs(logits).max()) or 1.0
    has_logits = output.dtype.kind == "f"
    largest, mean = 0.0, 0.0
    if has_logits:
        _require_shape(reference, output.shape, logits.shape)
        difference = np.abs(logits - output)
        largest, mean = float(difference.max()) / greatest, float(difference.mean()) / greatest
        output = _means(output, spec)
    logits = _means(logits, spec)
    expected = _labels(logits, reference, spec)
    found = _labels(output, reference, spec) if has_logits else _as_maps(output, reference, expected)
    differ = expected != found
    wrong = differ.copy()
    for image, (each, labels) in enumerate(zip(wrong, found, strict=True)):
        rows, columns = np.nonzero(each)
        for begin in range(0, len(rows), _BLOCK):
            where = rows[begin : begin + _BLOCK], columns[begin : begin + _BLOCK]
            each[where] = ~_undecided(logits[image], reference.steps, spec, (labels, where, noise * greatest))
    return Comparison(
        input=reference.input,
        image=reference.name,
        labels_equal=1 - float(wrong.mean()),
        max_difference=largest,
        mean_difference=mean,
        classes=_by_class(expected, wrong, spec.classes),
        pixels=differ.size,
        pixels_differ=int(np.count_nonzero(differ)),
        greatest=greatest,
        has_logits=has_logits,
    )


def compare_labels(
    expected: NDArray[Any], found: NDArray[Any], *, name: str = "", counted: NDArray[np.bool_] | None = None
) -> Comparison:
    """Compare two label maps of the same image, pixel by pixel.

    Args:
        expected: Labels (H, W) of the reference.
        found: Labels (H, W) of the candidate.
        name: Of the image, for the record.
        counted: Which pixels count, (H, W); None: all.

    Returns:
        The record, without shares of single classes.

    Raises:
        VerificationError: The two are of different sizes.
    """
    if expected.shape != found.shape:
        raise VerificationError(f"for {name} the labels are of {found.shape}, expected {expected.shape}")
    differ = expected != found
    if counted is not None:
        differ &= counted
    pixels = differ.size if counted is None else int(np.count_nonzero(counted))
    wrong = int(np.count_nonzero(differ))
    return Comparison(
        input=(1, 1, *expected.shape[-2:]),
        image=name,
        labels_equal=1 - wrong / max(1, pixels),
        pixels=pixels,
        pixels_differ=wrong,
        has_logits=False,
    )


def _means(logits: NDArray[Any], spec: ModelSpec) -> NDArray[Any]:
    """The mean of all networks whose scores lie one behind another (`Slide.members`), of which labels are made."""
    if spec.slide is None or spec.slide.members == 1:
        return logits
    return np.stack([mean_of_members(each, spec.slide) for each in logits])


def _labels(logits: NDArray[np.float32], reference: Reference, spec: ModelSpec) -> NDArray[Any]:
    """(N, H, W) at the size that is compared."""
    threshold = spec.threshold if spec.output == "sigmoid" else None
    corners, activated = spec.align_corners, spec.returns == "probabilities"
    return np.stack(
        [
            upsample.labels(each, reference.steps, align_corners=corners, threshold=threshold, activated=activated)
            for each in logits
        ]
    )


def _as_maps(output: NDArray[Any], reference: Reference, expected: NDArray[Any]) -> NDArray[Any]:
    """Labels as (N, H, W), whatever axes of length one they have besides."""
    found = output.reshape(-1, *output.shape[-2:])
    _require_shape(reference, found.shape, expected.shape)
    return found


def _require_shape(reference: Reference, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise VerificationError(
            f"at input {reference.input} ({reference.name}) the engine returns {found}, "
            f"the network {expected}: do not use it"
        )


def _undecided(
    logits: NDArray[np.float32],
    steps: tuple[Step, ...],
    spec: ModelSpec,
    other: tuple[NDArray[Any], tuple[NDArray[np.intp], NDArray[np.intp]], float],
) -> NDArray[np.bool_]:
    """Whether the network itself is undecided between its label and the candidate's at some pixels.

    Args:
        logits: float32 (K, h, w), the network's.
        steps: To the size of the labels.
        spec: How logits become labels.
        other: The candidate's labels (H, W); the pixels, as rows and columns; and the margin of noise.
    """
    labels, (y, x), margin = other
    rows, columns = upsample.operators(logits.shape[1:], steps, align_corners=spec.align_corners)
    cells = logits[:, rows.index[y][:, :, None], columns.index[x][:, None, :]]
    values = np.einsum("cprs,pr,ps->cp", cells, rows.weight[y], columns.weight[x])
    if spec.output == "sigmoid":
        border = score_above(spec.threshold, activated=spec.returns == "probabilities")
        near: NDArray[np.bool_] = np.abs(values[0] - border) < margin
        return near
    classes = np.clip(labels[y, x], 0, len(values) - 1).astype(np.intp)
    chosen = np.take_along_axis(values, classes[None], 0)[0]
    undecided: NDArray[np.bool_] = values.max(0) - chosen < margin
    return undecided


def _by_class(labels: NDArray[Any], wrong: NDArray[np.bool_], classes: Sequence[str]) -> dict[str, float]:
    """Share of equal labels for each class that occurs."""
    count = np.bincount(labels.ravel(), minlength=len(classes))
    missed = np.bincount(labels[wrong], minlength=len(classes))
    named = zip(classes, missed, count, strict=False)
    return {name: 1 - float(bad / every) for name, bad, every in named if every}
