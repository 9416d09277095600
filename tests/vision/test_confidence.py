"""Scores divided by temperatures, confidences, and labels that are rejected, each against a line of NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from segship.core.errors import InputError
from segship.vision import confidence

UNRECORDED = "the expected numbers are those of the definitions, in a line of NumPy each"

RANDOM = np.random.default_rng(4)
LOGITS = RANDOM.normal(0, 3, (4, 6, 7)).astype(np.float32)


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(0))
    return (powers / powers.sum(0)).astype(np.float32)


SCORES = softmax(LOGITS)


@pytest.mark.parametrize("temperatures", [[2.0], [0.5, 1.0, 2.0, 4.0]])
def test_probabilities_are_divided_in_their_logarithms(temperatures: list[float]) -> None:
    divided = np.log(SCORES) / np.reshape(temperatures, (-1, 1, 1))
    found = confidence.sharpen(SCORES, temperatures, sigmoid=False)
    np.testing.assert_allclose(found, softmax(divided), atol=1e-6)
    assert found.dtype == np.float32


def test_a_sigmoid_is_divided_as_a_logit() -> None:
    found = confidence.sharpen(1 / (1 + np.exp(-LOGITS[:1])), [2.5], sigmoid=True)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-LOGITS[:1] / 2.5)), atol=1e-5)


def test_certain_probabilities_stay_numbers() -> None:
    certain = np.zeros((2, 1, 2), np.float32)
    certain[0] = 1
    np.testing.assert_allclose(confidence.sharpen(certain, [3.0], sigmoid=False), certain, atol=1e-6)
    np.testing.assert_allclose(confidence.sharpen(certain[:1], [3.0], sigmoid=True), certain[:1], atol=1e-6)


def test_each_confidence_is_its_definition() -> None:
    ranked = np.sort(SCORES, axis=0)
    for kind, expected in {
        "probability": ranked[-1],
        "margin": ranked[-1] - ranked[-2],
        "entropy": 1 + (SCORES * np.log(SCORES)).sum(0) / np.log(4),
    }.items():
        np.testing.assert_allclose(confidence.confidence(SCORES, kind, sigmoid=False), expected, atol=1e-6)
    share = SCORES[:1]
    np.testing.assert_allclose(
        confidence.confidence(share, "margin", sigmoid=True), np.abs(2 * share[0] - 1), atol=1e-6
    )
    with pytest.raises(InputError, match="margin"):
        confidence.confidence(SCORES, "beauty", sigmoid=False)


def test_the_label_that_the_mask_has_is_what_is_rejected() -> None:
    mask = SCORES.argmax(0).astype(np.uint8)
    mask[0] = 2
    found = confidence.reject(mask, SCORES, 0.5, sigmoid=False)
    own = np.take_along_axis(SCORES, mask[None].astype(int), 0)[0]
    np.testing.assert_array_equal(found, np.where(own < 0.5, 255, mask))
    assert 0 < (found == 255).mean() < 1
    share = SCORES[:1]
    binary = (share[0] > 0.3).astype(np.uint8)
    sure = np.where(binary == 1, share[0], 1 - share[0])
    np.testing.assert_array_equal(
        confidence.reject(binary, share, 0.6, sigmoid=True), np.where(sure < 0.6, 255, binary)
    )


def test_a_label_that_is_no_class_is_rejected_without_a_look_at_the_scores() -> None:
    mask = np.full((6, 7), 255, np.uint8)
    np.testing.assert_array_equal(confidence.reject(mask, SCORES, 0.1, sigmoid=False), mask)


@pytest.mark.parametrize(("least", "classes", "told"), [(1.5, 3, "within 0-1"), (0.5, 256, "256 classes")])
def test_what_cannot_be_rejected_is_refused(least: float, classes: int, told: str) -> None:
    with pytest.raises(InputError, match=told):
        confidence.require_rejectable(least, classes)
