"""What holds for every size: operators, windows and the way back, against formulas written with plain NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segship.core.spec import (
    Letterbox,
    ModelSpec,
    Normalization,
    Pad,
    Padding,
    Resize,
    ResizeEdges,
    ResizeShortestEdge,
    ResizeToMultiple,
    Slide,
)
from segship.vision import borders, dense, geometry, tiling
from segship.vision.preprocess import inverse_steps, prepare
from segship.vision.runs import blend, group
from segship.vision.taps import Taps, compose, linear, merge, part
from segship.vision.upsample import Step, labels, operators, scores

LENGTHS = st.integers(1, 64)
SIZES = st.tuples(st.integers(2, 40), st.integers(2, 40))
SEEDS = st.integers(0, 2**32 - 1)


def matrix(taps: Taps) -> NDArray[np.float64]:
    dense = np.zeros((len(taps), taps.cells))
    np.add.at(dense, (np.arange(len(taps))[:, None], taps.index), taps.weight)
    return dense


def bilinear(cells: int, positions: int, *, align_corners: bool) -> NDArray[np.float64]:
    """The textbook's matrix, in double precision."""
    place = np.arange(positions)
    if align_corners:
        source = place * (cells - 1) / (positions - 1) if positions > 1 else 0.0 * place
    else:
        source = np.maximum((place + 0.5) * cells / positions - 0.5, 0)
    return np.maximum(1 - np.abs(np.minimum(source, cells - 1)[:, None] - np.arange(cells)), 0)


@given(LENGTHS, LENGTHS, st.booleans())
def test_a_resize_is_the_textbooks_and_its_rows_sum_to_one(cells: int, positions: int, align: bool) -> None:
    taps = linear(cells, positions, align_corners=align)
    np.testing.assert_allclose(matrix(taps), bilinear(cells, positions, align_corners=align), atol=2e-5)
    np.testing.assert_allclose(taps.weight.sum(1), 1, rtol=1e-6)
    assert taps.weight.min() >= 0


@given(st.lists(LENGTHS, min_size=3, max_size=4), st.booleans(), st.data())
def test_composed_operators_are_the_product_of_their_matrices(sizes: list[int], align: bool, data: Any) -> None:
    found, expected = linear(sizes[0], sizes[0], align_corners=align), np.eye(sizes[0])
    for positions in sizes[1:]:
        kept = data.draw(st.integers(1, positions))
        begin = data.draw(st.integers(0, positions - kept))
        step = part(linear(len(found), positions, align_corners=align), begin, kept)
        found, expected = compose(step, found), matrix(step) @ expected
    np.testing.assert_allclose(matrix(found), expected, atol=1e-6)
    assert (np.diff(found.index, axis=1) >= 0).all()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 6), SEEDS)
def test_merging_leaves_the_operator_as_it_is(positions: int, cells: int, taps: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    index = random.integers(0, cells, (positions, taps))
    weight = random.integers(0, 4, (positions, taps)) + np.eye(positions, taps)
    weight[weight.sum(1) == 0, 0] = 1
    weight /= weight.sum(1, keepdims=True)
    expected = np.zeros((positions, cells))
    np.add.at(expected, (np.arange(positions)[:, None], index), weight)
    merged = merge(index, weight, cells)
    np.testing.assert_allclose(matrix(merged), expected, atol=1e-6)
    repeated = (np.diff(merged.index, axis=1) == 0) & (merged.weight[:, 1:] > 0)
    assert not repeated.any()


@given(LENGTHS, st.integers(1, 200), LENGTHS, st.booleans())
def test_runs_hold_each_position_and_blend_to_the_same_values(first: int, second: int, third: int, align: bool) -> None:
    taps = compose(linear(second, third, align_corners=align), linear(first, second, align_corners=align))
    values = np.random.default_rng(first).standard_normal(first).astype(np.float32)
    found = np.full(third, np.nan)
    for runs in group(taps):
        found[runs.positions] = blend(values[runs.cells][:, None], runs.weight)
    np.testing.assert_allclose(found, matrix(taps) @ values, atol=1e-5)


@given(SIZES, SIZES, st.data())
def test_windows_cover_every_pixel_and_none_lies_outside(
    size: tuple[int, int], crop: tuple[int, int], data: Any
) -> None:
    stride = tuple(data.draw(st.integers(1, side)) for side in crop)
    plan = tiling.plan(size, Slide(crop=crop, stride=stride))
    seen = np.zeros(size, int)
    for top, left in itertools.product(plan.tops, plan.lefts):
        assert top + plan.window[0] <= size[0]
        assert left + plan.window[1] <= size[1]
        seen[top : top + plan.window[0], left : left + plan.window[1]] += 1
    assert seen.min() >= 1
    fewest = [max(0, -(-(side - wide) // step)) + 1 for side, wide, step in zip(size, crop, stride, strict=True)]
    assert len(plan) == fewest[0] * fewest[1]


@given(SIZES, SIZES, SEEDS, st.data())
def test_windows_that_agree_average_to_the_map_they_show(
    size: tuple[int, int], crop: tuple[int, int], seed: int, data: Any
) -> None:
    """A network that returns what it sees: the average of its windows is the image, wherever the windows lie."""
    stride = tuple(data.draw(st.integers(1, side)) for side in crop)
    plan = tiling.plan(size, Slide(crop=crop, stride=stride))
    image = np.random.default_rng(seed).integers(-9, 9, (1, 3, *size)).astype(np.float32)
    logits = np.concatenate(list(plan.batches(image, 4)))
    found = tiling.labels(logits, plan, [Step(size)], align_corners=False)
    exact = np.sort(image[0], 0)
    sure = exact[-1] > exact[-2]  # averaging thirds may break a tie either way
    np.testing.assert_array_equal(found[sure], image[0].argmax(0)[sure])


def small_logits(seed: int, size: tuple[int, int], classes: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(-4, 5, (classes, *size)).astype(np.float32)


def everywhere(logits: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[Any]:
    return dense.labels(logits, rows, columns, np.uint8)


def near_borders(logits: NDArray[np.float32], rows: Taps, columns: Taps) -> NDArray[Any]:
    winners = logits.argmax(0).astype(np.uint8)
    out = winners.take(columns.index[:, 0], axis=1).take(rows.index[:, 0], axis=0)
    for blocks in borders.in_doubt(winners, group(rows), group(columns)):
        borders.settle(logits, blocks, out)
    return out


@pytest.mark.parametrize("way", [everywhere, near_borders])
@given(seed=SEEDS, size=SIZES, factor=st.sampled_from([2, 4]), copied=st.booleans())
def test_of_equal_classes_the_first_wins(
    way: Any, seed: int, size: tuple[int, int], factor: int, *, copied: bool
) -> None:
    """Doubling whole numbers is exact in float32, so ties are ties: `argmax` of the textbook's values."""
    logits = small_logits(seed, size)
    rows, columns = (bilinear(side, factor * side, align_corners=False) for side in size)
    expected = np.einsum("ip,cpq,jq->cij", rows, logits, columns).argmax(0)
    if copied:  # a class that always equals an earlier one is never chosen
        logits = np.concatenate([logits, logits])
    taps = operators(size, (Step((factor * size[0], factor * size[1])),), align_corners=False)
    np.testing.assert_array_equal(way(logits, *taps), expected)


@given(SEEDS, SIZES, SIZES, SIZES, st.booleans())
def test_scores_are_the_softmax_of_resized_logits(
    seed: int, size: tuple[int, int], between: tuple[int, int], image: tuple[int, int], align: bool
) -> None:
    logits = small_logits(seed, size).astype(np.float64)
    resized = logits
    for target in (between, image):
        matrices = (bilinear(a, b, align_corners=align) for a, b in zip(resized.shape[1:], target, strict=True))
        resized = np.einsum("ip,cpq,jq->cij", next(matrices), resized, next(matrices))
    powers = np.exp(resized)
    found = scores(logits.astype(np.float32), [Step(between), Step(image)], align_corners=align)
    np.testing.assert_allclose(found, powers / powers.sum(0), atol=2e-4)


EDGES = st.integers(4, 50)
STEPS = st.one_of(
    st.builds(Resize, width=EDGES, height=EDGES, keep_ratio=st.booleans()),
    st.builds(ResizeShortestEdge, size=EDGES, max_size=st.integers(50, 80)),
    st.builds(ResizeToMultiple, multiple_of=st.sampled_from([4, 8])),
    st.builds(ResizeEdges, short=EDGES, long=st.integers(50, 80)),
    st.builds(Letterbox, height=EDGES, width=EDGES),
    st.builds(lambda multiple: Pad(multiple_of=multiple, crop=True), st.sampled_from([3, 8])),
)
SIDES = st.tuples(st.integers(8, 40), st.integers(8, 40))  # at most 1 : 5, so that no step makes a side vanish


@given(STEPS, SIDES)
def test_a_step_makes_the_size_that_it_plans(step: Any, size: tuple[int, int]) -> None:
    plan = step.plan(*size)
    assert all(place >= 0 for place in plan.origin)
    assert all(plan.origin[side] + plan.inner[side] <= plan.size[side] for side in range(2))
    image = np.full((*size, 3), 200, np.uint8)
    found = geometry.apply(step, image)
    assert found.shape == (*plan.size, 3)
    top, left = plan.origin
    assert (found[top : top + plan.inner[0], left : left + plan.inner[1]] == 200).all()


@given(SIDES, EDGES, EDGES)
def test_keeping_the_ratio_is_mmcvs_arithmetic(size: tuple[int, int], width: int, height: int) -> None:
    longest, shortest = max(width, height), min(width, height)
    factor = min(longest / max(size), shortest / min(size))
    expected = tuple(int(side * factor + 0.5) for side in size)
    assert Resize(width=width, height=height, keep_ratio=True).plan(*size).size == expected


@given(st.lists(STEPS, max_size=2), st.sampled_from([None, 4, 32]), SIDES)
def test_the_way_back_ends_at_the_image_and_shows_no_margin(
    steps: list[Any], multiple: int | None, size: tuple[int, int]
) -> None:
    spec = ModelSpec(
        source="",
        architecture="",
        classes=("image", "margin"),
        palette=((0, 0, 0), (9, 9, 9)),
        geometry=tuple(steps),
        normalization=Normalization(mean=(0, 0, 0), std=(1, 1, 1)),
        padding=None if multiple is None else Padding(multiple_of=multiple),
    )
    prepared = prepare(np.full((*size, 3), 200, np.uint8), spec)
    assert prepared.steps == inverse_steps(spec, size)
    assert prepared.steps[0].size == prepared.tensor.shape[2:]
    margin = prepared.tensor[0, 0] < 200  # a margin is black, and a resize of the white image stays white
    logits = np.stack([~margin, margin]).astype(np.float32)
    found = labels(logits, prepared.steps, align_corners=False)
    assert found.shape == size
    framed_then_resized = len(steps) > 1 and steps[0].plan(*size).inner != steps[0].plan(*size).size
    if not framed_then_resized:  # a resize mixes the margin of an earlier step into the image's own border
        assert not found.any()
