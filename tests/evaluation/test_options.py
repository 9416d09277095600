"""MMSegmentation's evaluator options: which figures, and how they are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segship.core.errors import InputError
from segship.evaluation import EvalOptions, Evaluation, evaluate, pair_files
from segship.evaluation.options import read_eval_options
from segship.evaluation.tally import Tally

from .conftest import Bands, truth_of

CLASSES = ("road", "wall", "tree", "sky")
MATRIX = np.array([[50, 10, 0, 0], [5, 20, 0, 0], [3, 0, 0, 0], [0, 0, 0, 0]])


def means(options: EvalOptions) -> dict[str, object]:
    found = Evaluation.of(Tally(MATRIX), CLASSES, (), options=options).as_dict()
    return {name: value for name, value in found.items() if "/" in name or name[0] in "am"}


# What IoUMetric of MMSegmentation 1.2.2 returns for this matrix, with beta=2.
@pytest.mark.parametrize(
    ("nan_to_num", "expected"),
    [
        (None, (79.5455, 43.5574, 54.4444, 52.4910, 80.4078, 76.4368, 54.4444)),
        (0, (79.5455, 32.6681, 40.8333, 39.3683, 40.2039, 38.2184, 40.8333)),
        (-1, (79.5455, 7.6681, 15.8333, 14.3683, -9.7961, -11.7816, 15.8333)),
    ],
)
def test_figures_are_those_of_mmsegmentation(nan_to_num: float | None, expected: tuple[float, ...]) -> None:
    found = means(EvalOptions(nan_to_num=nan_to_num, beta=2))
    assert list(found) == ["aAcc", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision", "mRecall"]
    assert list(found.values()) == pytest.approx(expected, abs=1e-4)


def test_only_the_figures_that_are_asked_for_are_told() -> None:
    options = read_eval_options(["test_evaluator.iou_metrics=['mDice','mIoU']", "prefix=val"])
    assert list(means(options)) == ["val/aAcc", "val/mDice", "val/mAcc", "val/mIoU"]
    found = Evaluation.of(Tally(MATRIX), CLASSES, (), options=options).as_dict()
    assert list(found["classes"][0]) == ["name", "Dice", "Acc", "IoU"]


def test_names_of_0x_are_known() -> None:
    found = read_eval_options(["metric=mFscore", "imgfile_prefix=./results", "efficient_test=True"])
    assert found == EvalOptions(("mFscore",), output_dir=Path("./results"))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("nan_to_nun=0", "there is no option 'nan_to_nun'. Did you mean 'nan_to_num'"),
        ("iou_metrics=mIOU", "'mIOU' is none of mIoU, mDice, mFscore. Did you mean 'mIoU'"),
        ("beta=big", "beta is a number, not 'big'"),
        ("ignore_index=-1", "ignore_index is a label, a whole number from 0 on, not -1"),
        ("format_only=1", "format_only is True or False, not 1"),
    ],
)
def test_what_cannot_be_meant_is_named(option: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_eval_options([option])


def test_pixels_of_an_ignored_class_do_not_count(data: Path) -> None:
    pairs = pair_files(data / "images", data / "labels")
    found = evaluate(Bands(3), pairs, options=EvalOptions(ignore_index=1))
    expected = np.zeros((3, 3), np.int64)
    for number in range(4):
        truth = truth_of(number)
        counted = truth != 1
        np.add.at(expected, (truth[counted], np.roll(truth, 3, 1)[counted]), 1)
    assert np.array_equal(found.matrix, expected)
