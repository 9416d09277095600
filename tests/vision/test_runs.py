from __future__ import annotations

import numpy as np
import pytest

from segship.vision.runs import blend, group
from segship.vision.taps import Taps, compose, linear, part

CHAINS = {
    "integer scale": linear(16, 128, align_corners=False),
    "fractional scale": linear(16, 71, align_corners=False),
    "corners": linear(17, 129, align_corners=True),
    "down": linear(100, 13, align_corners=False),
    "barely down": linear(100, 97, align_corners=False),
    "same": linear(12, 12, align_corners=False),
    "from one": linear(1, 300, align_corners=False),
    "to one": linear(300, 1, align_corners=False),
    "very large": linear(2, 1000, align_corners=True),
    "two resizes": compose(linear(128, 90, align_corners=False), linear(16, 128, align_corners=False)),
    "up and up": compose(linear(64, 128, align_corners=False), linear(8, 64, align_corners=False)),
    "down and up": compose(linear(20, 90, align_corners=False), linear(64, 20, align_corners=False)),
    "cropped": compose(linear(50, 90, align_corners=False), part(linear(8, 64, align_corners=False), 0, 50)),
}


@pytest.mark.parametrize("taps", CHAINS.values(), ids=CHAINS)
def test_runs_hold_every_position_and_all_its_weights(taps: Taps) -> None:
    values = np.random.default_rng(0).standard_normal(taps.cells).astype(np.float32)
    expected = (values[taps.index] * taps.weight).sum(axis=1)
    found = np.full(len(taps), np.nan)
    for runs in group(taps):
        weights = runs.weight
        assert weights.min(initial=0) >= 0
        assert weights.sum(axis=0).max(initial=0) <= 1 + 1e-6
        assert (np.diff(runs.cells, axis=0) >= 0).all()
        assert len(runs.positions) <= 64
        assert np.isnan(found[runs.positions]).all()
        found[runs.positions] = blend(values[runs.cells][:, None], weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_one_resize_is_one_kind_of_run_with_few_cells() -> None:
    (runs,) = group(linear(128, 1024, align_corners=False))
    assert runs.shape == (2, 8, 129)


def test_two_resizes_take_no_more_runs_than_cells_need() -> None:
    taps = compose(linear(1024, 720, align_corners=False), linear(128, 1024, align_corners=False))
    assert sum(runs.shape[2] for runs in group(taps)) <= 140
