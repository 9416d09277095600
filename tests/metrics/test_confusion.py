from __future__ import annotations

import numpy as np
import pytest

from segship.core.errors import InputError
from segship.metrics.confusion import confusion_matrix, reduce_zero_label, scores


def test_rows_are_true_and_columns_predicted() -> None:
    truth = np.array([[0, 0, 1, 255]], np.uint8)
    mask = np.array([[0, 1, 1, 0]], np.uint8)
    assert confusion_matrix(mask, truth, 2).tolist() == [[1, 1], [0, 1]]


def test_figures_follow_their_definitions() -> None:
    found = scores(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    assert found.aAcc == pytest.approx(100 * 9 / 12)
    assert found.IoU[:2] == pytest.approx([100 * 6 / 9, 100 * 3 / 6])
    assert found.Acc[:2] == pytest.approx([75, 75])
    assert np.isnan(found.IoU[2])
    assert found.mIoU == pytest.approx((100 * 6 / 9 + 50) / 2)
    assert found.mAcc == pytest.approx(75)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(0, 5), (1, 7), (61, 83)])
def test_every_pixel_is_counted_once_whatever_its_type(kind: type, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    mask, truth = random.integers(0, 5, shape), random.integers(0, 6, shape)
    expected = np.zeros((6, 5), np.int64)
    np.add.at(expected, (truth.ravel(), mask.ravel()), 1)
    truth[truth == 5] = 255
    found = confusion_matrix(mask.astype(kind), truth.astype(kind), 5)
    assert found.dtype == np.int64
    assert np.array_equal(found, expected[:5])
    turned = confusion_matrix(mask.astype(kind).T, truth.astype(kind).T, 5)
    assert np.array_equal(turned, expected[:5])


def test_more_pixels_than_a_float_can_count_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segship.metrics.confusion._EXACT", 25)
    truth = np.arange(100, dtype=np.uint8).reshape(10, 10) % 3
    assert np.diag(confusion_matrix(truth, truth, 3)).tolist() == [34, 33, 33]
    assert confusion_matrix(truth, truth, 3, ignore=1).tolist() == [[34, 0, 0], [0, 0, 0], [0, 0, 33]]


def test_a_class_that_is_only_predicted_counts_as_zero_iou() -> None:
    found = scores(np.array([[1, 1], [0, 0]]))
    assert found.IoU.tolist() == [50, 0]
    assert np.isnan(found.Acc[1])


def test_label_zero_becomes_ignore_and_the_others_move_down() -> None:
    assert reduce_zero_label(np.array([[0, 1, 150, 255]], np.uint8)).tolist() == [[255, 0, 149, 255]]


def test_an_impossible_label_is_named() -> None:
    with pytest.raises(InputError, match="label 7 occurs, the network has the classes 0 to 1"):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.array([[7, 0]], np.uint8), 2)


def test_different_sizes_are_named() -> None:
    with pytest.raises(InputError, match=r"\(2, 2\).*\(2, 3\)"):
        confusion_matrix(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)


def test_dice_precision_recall_and_f_score_follow_their_definitions() -> None:
    found = scores(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    assert found.Dice[:2] == pytest.approx([100 * 12 / 15, 100 * 6 / 9])
    assert found.Precision[:2] == pytest.approx([100 * 6 / 7, 100 * 3 / 5])
    assert found.Recall[:2] == pytest.approx([75, 75])
    assert found.Fscore[:2] == pytest.approx([200 * (6 / 7) * 0.75 / (6 / 7 + 0.75), 200 * 0.6 * 0.75 / 1.35])
    assert found.means["mDice"] == pytest.approx((80 + 100 * 6 / 9) / 2)
    assert found.means["mPrecision"] == pytest.approx((100 * 6 / 7 + 60) / 2)
    assert set(found.means) == {"aAcc", "mIoU", "mAcc", "mDice", "mFscore", "mPrecision", "mRecall"}


def test_beta_weighs_recall() -> None:
    found = scores(np.array([[6, 2], [1, 3]]), beta=2)
    assert found.Fscore[0] == pytest.approx(100 * 5 * (6 / 7) * 0.75 / (4 * 6 / 7 + 0.75))


def test_figures_equal_mmsegmentations_where_classes_are_missing() -> None:
    # IoUMetric.total_area_to_metrics of mmseg 1.2.2 for intersections (5, 0, 0, 2), predictions (8, 0, 3, 2) and labels
    # (6, 4, 0, 3): classes 1 and 2 are never predicted or never true.
    matrix = np.array([[5, 0, 1, 0], [2, 0, 2, 0], [0, 0, 0, 0], [1, 0, 0, 2]])
    found = scores(matrix)
    assert {name: round(value, 2) for name, value in found.means.items()} == {
        "aAcc": 53.85,
        "mIoU": 30.56,
        "mAcc": 50.0,
        "mDice": 37.86,
        "mFscore": 75.71,
        "mPrecision": 54.17,
        "mRecall": 50.0,
    }
    assert np.isnan(found.Fscore[[1, 2]]).all()
