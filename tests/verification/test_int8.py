"""The judge of int8 on labelled images that are drawn here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segship.core.plan import Int8
from segship.core.spec import ModelSpec
from segship.datasets.samples import Sample
from segship.verification.int8 import Int8Judge, Measurement

SPEC = ModelSpec(source="x", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))
SIZE = (40, 50)


def judged(folder: Path, wrong: list[int]) -> tuple[Int8Judge, Measurement, Measurement]:
    """Each image has as many ``wrong`` pixels afterwards as are listed; half of its pixels are of one class."""
    truth = np.zeros(SIZE, np.uint8)
    truth[:, SIZE[1] // 2 :] = 1
    samples, masks = [], []
    for number, count in enumerate(wrong):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), truth)
        samples.append(Sample(path.stem, path, path))
        mask = truth.copy()
        mask.reshape(-1)[:count] ^= 1
        masks.append(mask)
    judge = Int8Judge(samples, SPEC, Int8())
    before = judge.of_masks([truth] * len(wrong))
    return judge, before, judge.of_masks(masks, before)


@pytest.mark.parametrize(
    ("wrong", "passes"),
    [
        ([4] * 16, True),  # 0.4 points, and every image the same
        ([6] * 16, False),
        ([4, 4, 4, 4, 0, 0, 16, 0], False),  # 0.4 points, of which one image has half
        ([4], True),  # of one image nothing is known but its own change
    ],
)
def test_a_few_images_are_a_sample(wrong: list[int], passes: bool, tmp_path: Path) -> None:
    judge, before, after = judged(tmp_path, wrong)
    found = judge.failures(before, after)
    assert (found == []) == passes, found


def test_the_error_is_that_of_a_mean_where_the_measure_is_one(tmp_path: Path) -> None:
    wrong = [0, 8, 16, 24] * 4
    judge, before, after = judged(tmp_path, wrong)
    (found,) = judge.failures(before, after)
    # So few pixels change that mIoU is nearly the mean of the images' own: each class loses a share of its 1000 pixels.
    expected = 100 / 1000 * np.std(wrong, ddof=1) / np.sqrt(len(wrong))
    assert float(found.partition("± ")[2].partition(",")[0]) == pytest.approx(expected, abs=0.006)
