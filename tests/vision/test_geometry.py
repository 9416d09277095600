from __future__ import annotations

import numpy as np
import pytest

from segship.core.errors import InputError
from segship.core.geometry_steps import ImageStep, padded_size
from segship.core.spec import ModelSpec, Pad, Resize, ResizeShortestEdge
from segship.vision.geometry import apply
from segship.vision.preprocess import inverse_steps
from segship.vision.upsample import Step
from support.steps import EXAMPLES, KINDS


@pytest.mark.parametrize(
    ("size", "to", "multiple_of", "expected"),
    [
        ((20, 31), (None, None), None, (20, 31)),
        ((20, 31), (24, 24), None, (24, 31)),
        ((20, 31), (None, None), 32, (32, 32)),
        ((32, 64), (None, None), 32, (32, 64)),
        ((20, 31), (33, None), 16, (48, 32)),
    ],
)
def test_padding_never_shrinks_and_then_rounds_up(
    size: tuple[int, int], to: tuple[int | None, int | None], multiple_of: int | None, expected: tuple[int, int]
) -> None:
    assert padded_size(*size, to=to, multiple_of=multiple_of) == expected


def test_keeping_the_ratio_stops_at_the_first_limit() -> None:
    step = Resize(width=2048, height=1024, keep_ratio=True)
    assert step.plan(512, 1024).size == (1024, 2048)
    assert step.plan(512, 512).size == (1024, 1024)
    assert step.plan(1024, 512).size == (2048, 1024)
    assert step.plan(100, 1000).size == (205, 2048)


def test_not_keeping_the_ratio_gives_the_size() -> None:
    assert Resize(width=30, height=20).plan(777, 5).size == (20, 30)


def test_a_half_rounds_up() -> None:
    assert Resize(width=10, height=10, keep_ratio=True).plan(20, 5).size == (10, 3)


def test_the_short_edge_is_met_unless_the_long_one_would_be_too_long() -> None:
    step = ResizeShortestEdge(size=100, max_size=250)
    assert step.plan(50, 100).size == (100, 200)
    assert step.plan(400, 200).size == (200, 100)
    assert step.plan(50, 500).size == (25, 250)


def test_an_image_too_narrow_to_survive_is_refused() -> None:
    with pytest.raises(InputError, match=r"3x40000 pixels .* resized to 0x2048: it is too narrow"):
        Resize(width=2048, height=512, keep_ratio=True).plan(3, 40000)


def test_padded_pixels_have_the_value_of_their_channel() -> None:
    padded = apply(Pad(multiple_of=4, value=(1, 2, 3)), np.full((3, 4, 3), 9, np.uint8))
    assert padded.shape == (4, 4, 3)
    assert padded[3].tolist() == [[1, 2, 3]] * 4
    assert (padded[:3] == 9).all()


def test_one_value_serves_all_channels() -> None:
    assert apply(Pad(height=2, width=1, value=(5,)), np.zeros((1, 1, 3), np.uint8))[1, 0].tolist() == [5, 5, 5]


@pytest.mark.parametrize("step", [Resize(width=8, height=6), Pad(height=6, width=8)])
def test_single_channel_images_keep_their_last_axis(step: Resize | Pad) -> None:
    assert apply(step, np.zeros((3, 4, 1), np.uint8)).shape == (6, 8, 1)


def test_values_that_are_not_one_for_each_channel_mean_the_first_in_both_orders() -> None:
    grey = np.zeros((2, 2, 1), np.uint8)
    step = Pad(height=3, width=2, value=(10.0, 20.0, 30.0))
    assert [apply(step, grey, rgb=rgb)[2, 0, 0] for rgb in (False, True)] == [10, 10]


def test_nothing_to_do_returns_the_image_itself() -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    assert apply(Resize(width=8, height=6), image) is image


def test_a_margin_that_is_cut_off_goes_through_the_input_whatever_the_spec_says() -> None:
    spec = ModelSpec(
        source="x",
        architecture="x",
        classes=("a", "b"),
        palette=((0, 0, 0), (1, 1, 1)),
        geometry=(Pad(multiple_of=32, crop=True),),
        resize_logits="directly",
    )
    assert inverse_steps(spec, (20, 30)) == (
        Step((32, 32), crop=(32, 32)),
        Step((32, 32), crop=(20, 30)),
        Step((20, 30)),
    )


def test_there_is_an_example_of_each_step() -> None:
    assert {type(step) for step in EXAMPLES} == KINDS
    assert len(EXAMPLES) == len(KINDS)


@pytest.mark.parametrize("step", EXAMPLES, ids=lambda step: step.kind)
@pytest.mark.parametrize("size", [(64, 97), (97, 64), (300, 20), (1, 1)])
def test_pixels_are_as_many_as_planned_and_the_margin_lies_around_the_image(
    step: ImageStep, size: tuple[int, int]
) -> None:
    try:
        plan = step.plan(*size)
    except InputError:
        return
    assert apply(step, np.zeros((*size, 3), np.uint8)).shape == (*plan.size, 3)
    assert all(
        0 <= start <= whole - inner for start, whole, inner in zip(plan.origin, plan.size, plan.inner, strict=True)
    )
