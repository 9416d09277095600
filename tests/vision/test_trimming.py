"""Borders of zero: what is left, and what is put around it again."""

from __future__ import annotations

import numpy as np
import pytest

from segship.core.augmentation import Flip
from segship.vision.trimming import Frame, trim_zeros


def bordered() -> np.ndarray:
    image = np.zeros((9, 12, 3), np.uint8)
    image[2:6, 3:11, 1] = np.arange(1, 33).reshape(4, 8)
    image[3, 5] = 0  # a hole is no border
    return image


def test_what_is_zero_in_all_channels_is_cut_off_at_the_sides_alone() -> None:
    image = bordered()
    left, frame = trim_zeros(image)
    assert np.array_equal(left, image[2:6, 3:11])
    assert frame == Frame((9, 12), (2, 3), (4, 8))
    assert np.array_equal(frame.around(left[:, :, 1]), image[:, :, 1])


def test_scores_outside_are_of_the_first_class() -> None:
    _, frame = trim_zeros(bordered())
    assert frame is not None
    whole = frame.around(np.full((2, 4, 8), 0.5, np.float32), first=1)
    assert np.array_equal(whole[:, 0, 0], [1, 0])
    assert np.array_equal(whole[:, 2, 3], [0.5, 0.5])


@pytest.mark.parametrize(("flip", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_the_frame_of_a_flipped_image_is_flipped(flip: Flip, axis: int) -> None:
    _, frame = trim_zeros(bordered())
    assert frame is not None
    assert frame.flipped(flip) == trim_zeros(np.flip(bordered(), axis))[1]


@pytest.mark.parametrize("image", [np.zeros((4, 5, 3), np.uint8), np.ones((4, 5, 1), np.float32)])
def test_an_image_without_such_borders_or_without_anything_else_stays(image: np.ndarray) -> None:
    same, frame = trim_zeros(image)
    assert same is image
    assert frame is None
