from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segship.core.errors import VerificationError
from segship.core.manifest import Check
from segship.core.spec import ModelSpec
from segship.verification.compare import Sample, compare, require

SPEC = ModelSpec(source="x", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (9, 9, 9)))
INPUT = np.zeros((1, 3, 8, 8), np.float32)


class Constant:
    def __init__(self, logits: NDArray[np.float32]) -> None:
        self.logits = logits

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        assert set(feeds) == {"image"}
        return {"logits": self.logits}


def logits(first: NDArray[np.float64] | float, second: NDArray[np.float64] | float) -> NDArray[np.float32]:
    planes = [np.broadcast_to(plane, (100, 100)) for plane in (first, second)]
    return np.stack(planes)[None].astype(np.float32)


def checked(expected: NDArray[np.float32], found: NDArray[np.float32]) -> tuple[Check, ...]:
    return compare([Sample("scene", INPUT, expected)], Constant(found), SPEC)


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
    with pytest.raises(VerificationError, match=r"\(1, 2, 4, 4\), the network \(1, 2, 100, 100\)"):
        checked(logits(0, 1), other)
