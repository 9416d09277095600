"""Temperatures and the expected calibration error, against what is known of them by formula."""

from __future__ import annotations

import numpy as np
import pytest

from segship.metrics.calibration import fit_temperatures, negative_log_likelihood, probabilities, reliability

UNRECORDED = "the labels are drawn from the probabilities that the right temperature gives"


def drawn(classes: int, temperatures: list[float], pixels: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from the softmax of the logits divided by the temperatures."""
    random = np.random.default_rng(classes)
    honest = random.normal(0, 2, (pixels, classes))
    shares = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    truth = (shares.cumsum(1) > random.random((pixels, 1))).argmax(1)
    return (honest * temperatures).astype(np.float32), truth


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    logits, truth = drawn(5, [temperature])
    found = fit_temperatures(logits, truth)
    assert found.shape == (1,)
    assert found[0] == pytest.approx(temperature, rel=0.03)


def test_a_temperature_of_each_class_is_found_and_no_other_is_likelier() -> None:
    wanted = [0.5, 1.0, 2.0, 1.5]
    logits, truth = drawn(4, wanted)
    found = fit_temperatures(logits, truth, per_class=True)
    np.testing.assert_allclose(found, wanted, rtol=0.06)
    least = negative_log_likelihood(logits, truth, found)
    for place in range(4):
        for factor in (0.98, 1.02):
            other = found.copy()
            other[place] *= factor
            assert negative_log_likelihood(logits, truth, other) > least


def test_a_class_without_a_pixel_keeps_the_common_temperature() -> None:
    logits, truth = drawn(3, [2.0])
    logits = np.concatenate([logits, np.full((len(logits), 1), -3, np.float32)], axis=1)
    common, found = fit_temperatures(logits, truth), fit_temperatures(logits, truth, per_class=True)
    assert found[3] == pytest.approx(common[0])


def test_logits_that_are_always_right_get_a_low_temperature() -> None:
    truth = np.arange(2000) % 2
    found = fit_temperatures(np.stack([1.0 - truth, truth], 1).astype(np.float32), truth)
    assert 0.01 <= found[0] < 0.2


def test_the_error_is_the_mean_of_the_bins_gaps() -> None:
    confidence = np.repeat([0.2, 0.65, 0.95], [100, 300, 600])
    right = np.concatenate([np.arange(100) < 30, np.arange(300) < 150, np.arange(600) < 570])
    error, bins = reliability(confidence, right, bins=10)
    assert [(round(one.confidence, 6), round(one.accuracy, 6), one.pixels) for one in bins] == [
        (0.2, 0.3, 100),
        (0.65, 0.5, 300),
        (0.95, 0.95, 600),
    ]
    assert error == pytest.approx((100 * 0.1 + 300 * 0.15) / 1000)


def test_honest_probabilities_have_a_small_error_and_proud_ones_a_large_one() -> None:
    logits, truth = drawn(5, [3.0])
    errors = []
    for temperature in (1.0, 3.0):
        shares = probabilities(logits, np.array([temperature]))
        errors.append(reliability(shares.max(1), shares.argmax(1) == truth)[0])
    assert errors[0] > 0.1
    assert errors[1] < 0.02
