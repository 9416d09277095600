from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segship.metrics.boundary import boundary_areas, inner_boundary, reach


def scene(seed: int, height: int, width: int, classes: int) -> NDArray[np.uint8]:
    cells = np.random.default_rng(seed).integers(0, classes, (5, 7), np.uint8)
    return np.asarray(cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def eroded_away(mask: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """The paper's own way, for one class: what erosion with a 3x3 square, nothing lying outside the image, removes."""
    padded = np.pad(mask.astype(np.uint8), 1)
    left = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return mask & (left == 0)


@pytest.mark.parametrize("distance", [1, 3, 8])
def test_boundary_of_all_classes_is_what_erosion_takes_from_each(distance: int) -> None:
    labels = scene(0, 60, 91, 4)
    expected = np.zeros(labels.shape, np.bool_)
    for label in range(4):
        expected |= eroded_away(labels == label, distance)
    assert np.array_equal(inner_boundary(labels, distance), expected)


def test_areas_are_those_of_each_class_on_its_own() -> None:
    labels, mask = scene(1, 80, 120, 3), np.roll(scene(1, 80, 120, 3), 2, 1)
    distance = reach(80, 120)
    assert distance == 3  # 2 % of a diagonal of 144.2 pixels
    found = boundary_areas(mask, labels, 3)
    for label in range(3):
        ours, theirs = eroded_away(mask == label, distance), eroded_away(labels == label, distance)
        assert found[:, label].tolist() == [int((ours & theirs).sum()), int((ours | theirs).sum())]


def test_equal_masks_have_a_boundary_iou_of_one() -> None:
    labels = scene(2, 40, 50, 3)
    labels[10:20, 10:20] = 255
    inside, union = boundary_areas(np.where(labels == 255, 1, labels).astype(np.uint8), labels, 3)
    assert np.array_equal(inside, union)
    assert union.min() > 0


def test_tiny_images_have_nothing_but_boundary() -> None:
    labels = np.zeros((1, 2), np.uint16)
    assert boundary_areas(labels, labels, 1).tolist() == [[2], [2]]
