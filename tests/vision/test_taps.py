from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from segship.vision.taps import Taps, compose, linear, merge, part

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = [(1, 1), (1, 7), (7, 1), (5, 5), (4, 32), (32, 4), (45, 360), (128, 683), (100, 77), (3, 200), (256, 255)]


def matrix(taps: Taps) -> NDArray[np.float64]:
    dense = np.zeros((len(taps), taps.cells))
    np.add.at(dense, (np.arange(len(taps))[:, None], taps.index), taps.weight)
    return dense


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("cells", "positions"), SIZES)
def test_weights_are_torchs_bit_for_bit(cells: int, positions: int, align_corners: bool) -> None:
    torch = pytest.importorskip("torch")
    impulses = torch.eye(cells)[:, None, :, None]
    resized = torch.nn.functional.interpolate(
        impulses, (positions, 1), mode="bilinear", align_corners=align_corners, antialias=False
    )
    expected = resized[:, 0, :, 0].T.numpy()
    np.testing.assert_array_equal(matrix(linear(cells, positions, align_corners=align_corners)), expected)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("cells", "positions"), SIZES)
def test_operators_are_convex_and_ascending(cells: int, positions: int, align_corners: bool) -> None:
    taps = linear(cells, positions, align_corners=align_corners)
    assert len(taps) == positions
    assert taps.weight.min() >= 0
    np.testing.assert_allclose(taps.weight.sum(axis=1), 1, rtol=1e-6)
    assert (np.diff(taps.index, axis=1) >= 0).all()
    assert taps.index.min() >= 0
    assert taps.index.max() < cells


def test_doubling_takes_quarters() -> None:
    expected = [[1, 0, 0], [0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0.75, 0.25], [0, 0.25, 0.75], [0, 0, 1]]
    assert matrix(linear(3, 6, align_corners=False)).tolist() == expected


def test_aligned_corners_meet() -> None:
    assert matrix(linear(2, 5, align_corners=True)).tolist() == [[1, 0], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0, 1]]


def test_a_composition_is_the_product_of_its_matrices() -> None:
    inner, outer = linear(9, 31, align_corners=False), linear(20, 47, align_corners=True)
    both = compose(outer, part(inner, 5, 20))
    np.testing.assert_allclose(matrix(both), matrix(outer) @ matrix(inner)[5:25], atol=1e-7)
    assert both.cells == 9


def test_composing_with_nothing_changes_nothing() -> None:
    taps, same = linear(9, 31, align_corners=False), linear(9, 9, align_corners=False)
    assert same.is_identity
    assert compose(taps, same) is taps
    assert compose(linear(31, 31, align_corners=True), taps) is taps
    assert part(taps, 0, 31) is taps


def test_merging_sorts_adds_up_and_drops_zeros() -> None:
    index = np.array([[5, 2, 5, 0], [1, 1, 1, 3]])
    weight = np.array([[0.25, 0.5, 0.25, 0.0], [0.5, 0.25, 0.25, 0.0]])
    taps = merge(index, weight, 6)
    assert taps.index.tolist() == [[2, 5], [1, 1]]
    assert taps.weight.tolist() == [[0.5, 0.5], [1, 0]]
