from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segship.core.errors import VerificationError
from segship.core.manifest import Comparison
from segship.core.spec import ModelSpec
from segship.verification.compare import Reference, compare, compare_labels
from segship.verification.gates import require
from segship.vision.upsample import Step, logit_above

SPEC = ModelSpec(source="x", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (9, 9, 9)))
INPUT = np.zeros((1, 3, 8, 8), np.float32)


def logits(first: NDArray[np.float64] | float, second: NDArray[np.float64] | float) -> NDArray[np.float32]:
    planes = [np.broadcast_to(plane, (100, 100)) for plane in (first, second)]
    return np.stack(planes)[None].astype(np.float32)


def checked(expected: NDArray[np.float32], found: NDArray[Any], spec: ModelSpec = SPEC) -> list[Comparison]:
    return [compare(Reference("scene", INPUT, expected), found, spec)]


def test_equal_engines_pass() -> None:
    checks = checked(logits(1, 2), logits(1, 2))
    assert (checks[0].labels_equal, checks[0].max_difference, checks[0].input) == (1, 0, (1, 3, 8, 8))
    require(checks, "fp32")


def test_two_wrong_labels_in_ten_thousand_fail_fp32() -> None:
    wrong = np.zeros((100, 100))
    wrong[0, :2] = 5
    checks = checked(logits(0, 1), logits(wrong, 1))
    assert checks[0].labels_equal == pytest.approx(0.9998)
    with pytest.raises(VerificationError, match=r"99\.9800% of the labels are equal \(gate 99\.99%\)"):
        require(checks, "fp32")


def test_a_difference_that_changes_no_label_fails_fp32_but_not_fp16() -> None:
    checks = checked(logits(0, 1), logits(0, 1.01))
    with pytest.raises(VerificationError, match=r"differ by 5\.0e-03 of the greatest on average, 1\.0e-02 at most"):
        require(checks, "fp32")
    require(checks, "fp16")


def test_a_tie_within_noise_is_no_difference_and_a_real_one_is() -> None:
    tie = checked(logits(1, 1 + 1e-6), logits(1 + 2e-6, 1))
    assert tie[0].labels_equal == 1
    real = checked(logits(1, 1.001), logits(1.001, 1))
    assert real[0].labels_equal == 0


def test_nan_is_never_verified() -> None:
    with pytest.raises(VerificationError, match="the network itself returns NaN"):
        checked(logits(np.nan, 1), logits(0, 1))
    with pytest.raises(VerificationError):
        require(checked(logits(0, 1), logits(0, np.nan)), "fp16")


def test_another_shape_is_an_error() -> None:
    other = np.zeros((1, 2, 4, 4), np.float32)
    with pytest.raises(VerificationError, match=r"the engine returns \(1, 2, 4, 4\), the network \(1, 2, 100, 100\)"):
        checked(logits(0, 1), other)


def test_labels_are_compared_at_the_size_that_the_steps_end_at() -> None:
    expected = np.zeros((2, 2, 4, 4), np.float32)
    expected[:, 1, :, 2:] = 1  # class 1 on the right of both images
    reference = Reference("scene", np.zeros((2, 3, 8, 8), np.float32), expected, (Step((8, 8)),))
    right = np.zeros((2, 1, 8, 8), np.int64)
    right[..., 4:] = 1
    right[..., 3] = 1  # a quarter of the way over, class 1 has a quarter of the weight: it is not above class 0
    found = compare(reference, right, SPEC)
    # Columns 3 and 4 lie between the cells 1 and 2; class 0 is 0 everywhere, so class 1 wins wherever it has a say.
    assert (found.labels_equal, found.pixels, found.pixels_differ) == (1, 128, 0)
    assert (found.has_logits, found.max_difference, found.mean_difference) == (False, 0, 0)
    right[0, 0, :2, 4:] = 0
    wrong = compare(reference, right, SPEC)
    assert wrong.labels_equal == pytest.approx(1 - 8 / 128)
    assert wrong.classes == {"a": 1.0, "b": pytest.approx(1 - 8 / 80)}


BINARY = SPEC.model_copy(update={"output": "sigmoid", "threshold": 0.7})


def test_the_border_of_a_sigmoid_is_the_one_of_the_masks() -> None:
    border = logit_above(0.7)
    expected = np.full((1, 1, 1, 4), 5, np.float32)
    expected[..., :2] = -5
    found = np.full((1, 1, 1, 4), np.nextafter(np.float32(border), np.float32(9)), np.float32)
    found[..., 1] = border  # not above it
    assert compare(Reference("x", INPUT, expected), found, BINARY).labels_equal == 0.75
    near = np.full((1, 1, 1, 4), border + 1e-6, np.float32)
    near[..., 0] = 5
    flipped = np.full((1, 1, 1, 4), border - 1e-6, np.float32)
    assert compare(Reference("x", INPUT, near), flipped, BINARY).labels_equal == 0.75


def test_label_maps_are_compared_where_they_count() -> None:
    first, second = np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8)
    second[2:] = 0
    assert compare_labels(first, second).labels_equal == 0.5
    counted = np.ones((4, 5), bool)
    counted[0] = False
    found = compare_labels(first, second, name="a", counted=counted)
    assert (found.image, found.pixels, found.pixels_differ) == ("a", 15, 5)
    assert compare_labels(first, second, counted=np.zeros((4, 5), bool)).pixels == 0
    with pytest.raises(VerificationError, match=r"of \(3, 5\), expected \(4, 5\)"):
        compare_labels(first, second[1:])


def test_what_a_manifest_holds_of_a_comparison_is_what_it_was() -> None:
    (found,) = checked(logits(1, 2), logits(1, 2))
    assert list(found.model_dump()) == [
        "input", "image", "labels_equal", "max_difference", "mean_difference", "classes",
    ]  # fmt: skip
    assert Comparison.model_validate_json(found.model_dump_json()).labels_equal == 1
