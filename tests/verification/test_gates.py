from __future__ import annotations

import pytest

from segship.core.comparison import Comparison, Exactness, Nearness
from segship.core.manifest import Accuracy
from segship.core.plan import Int8
from segship.verification.gates import accuracy_failures, failures, mask_failures

BEFORE = Accuracy(mIoU=70.0, IoU={"road": 90.0, "pole": 50.0})


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (Accuracy(mIoU=69.6, IoU={"road": 89.9, "pole": 47.1}), []),
        (Accuracy(mIoU=69.4, IoU={"road": 89.0, "pole": 49.8}), ["mIoU 70.00 -> 69.40"]),
        (Accuracy(mIoU=70.6, IoU={"road": 91.0, "pole": 50.2}), ["mIoU 70.00 -> 70.60 (+0.60"]),
        (Accuracy(mIoU=70.0, IoU={"road": 93.5, "pole": 46.5}), ["pole 50.00 -> 46.50 (-3.50"]),
        (Accuracy(mIoU=70.0, IoU={"road": 90.0}), ["pole 50.00 -> 0.00"]),
        (Accuracy(mIoU=float("nan"), IoU={}), ["mIoU", "road", "pole"]),
    ],
)
def test_the_gate_is_two_sided_on_the_mean_and_one_sided_on_classes(after: Accuracy, words: list[str]) -> None:
    found = accuracy_failures(BEFORE, after, Int8())
    assert len(found) == len(words)
    assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


def test_a_change_counts_with_its_standard_error() -> None:
    after = Accuracy(mIoU=69.6, IoU=BEFORE.IoU)
    assert accuracy_failures(BEFORE, after, Int8(), 0.09) == []
    found = accuracy_failures(BEFORE, after, Int8(), 0.11)
    assert found == ["mIoU 70.00 -> 69.60 (-0.40 ± 0.11, at most 0.5 allowed)"]


def check(**figures: float) -> Comparison:
    return Comparison(input=(1, 3, 10, 10), image="scene", **{"labels_equal": 1.0} | figures)


def test_below_fp32_the_share_counts_over_all_pixels() -> None:
    small, large = check(labels_equal=0.5), check(labels_equal=0.9999).model_copy(update={"input": (1, 3, 1000, 1000)})
    assert failures([small, large], "fp16") == []
    assert failures([small], "fp16") == ["fp16: 50.000% of the labels are equal to the network's (gate 99.50%)"]


def test_int8_is_judged_by_its_masks_alone_but_must_be_finite() -> None:
    assert failures([check(labels_equal=0.1, pixels=10, pixels_differ=9)], "int8") == []
    assert mask_failures([check(pixels=10, pixels_differ=9)], "int8") == [
        "int8: 10.000% of the pixels keep their label (gate 98.00%)"
    ]
    assert mask_failures([check(pixels=100, pixels_differ=2), check(pixels=100, pixels_differ=2)], "int8") == []
    assert failures([check(max_difference=float("nan"))], "int8") == [
        "the engine returns NaN or infinity at input 1x3x10x10 (scene)"
    ]


@pytest.mark.parametrize(
    ("engine", "own", "passes"),
    [
        ((0.9982, 4e-3, 2e-4), (0.9991, 1e-3, 1e-4), True),
        ((0.9979, 4e-3, 2e-4), (0.9991, 1e-3, 1e-4), False),  # 0.18 % and 0.01 % of the labels may be missed
        ((0.9982, 4e-3, 2.1e-4), (0.9991, 1e-3, 1e-4), False),
        ((0.9982, 4.1e-3, 2e-4), (0.9991, 1e-3, 1e-4), False),
        ((0.9999, 1e-6, 1e-7), (1.0, 1e-6, 1e-7), True),
        ((0.9998, 1e-6, 1e-7), (1.0, 1e-6, 1e-7), False),  # a network that float32 computes well: the gate itself
        ((0.9960, 1e-3, 1e-4), (0.9940, 1e-3, 1e-4), False),  # worse than fp16 may be: noise would hide anything
        ((0.9982, float("nan"), float("nan")), (0.9991, 1e-3, 1e-4), False),
        ((0.9982, 4e-3, 2e-4), (0.9991, float("nan"), float("nan")), False),
    ],
)
def test_float64_decides_for_engines_as_near_as_pytorch(
    engine: tuple[float, float, float], own: tuple[float, float, float], passes: bool
) -> None:
    names = ("labels_equal", "max_difference", "mean_difference")
    near = (Nearness(**dict(zip(names, figures, strict=True))) for figures in (engine, own))
    exact = Exactness(engine=next(near), network=next(near))
    found = check(labels_equal=0.998, mean_difference=2e-4).model_copy(update={"exact": exact})
    assert (failures([found], "fp32") == []) == passes
    assert failures([found.model_copy(update={"exact": None})], "fp32")


@pytest.mark.parametrize(
    ("beyond", "difference", "passes"), [(1e-4, 2e-4, True), (2e-4, 2e-4, False), (0, 2.1e-4, False)]
)
def test_labels_within_noise_are_luck_where_logits_are_near(beyond: float, difference: float, passes: bool) -> None:
    engine = Nearness(labels_equal=0.997, max_difference=4e-3, mean_difference=difference)
    network = Nearness(labels_equal=0.9999, max_difference=1e-3, mean_difference=1e-4)
    exact = Exactness(engine=engine, network=network, beyond_noise=beyond)
    found = check(labels_equal=0.998, mean_difference=2e-4).model_copy(update={"exact": exact})
    assert (failures([found], "fp32") == []) == passes


def test_labels_have_no_differences_of_logits_to_tell() -> None:
    (text,) = failures([check(labels_equal=0.5).model_copy(update={"has_logits": False})], "fp32")
    assert text.endswith("50.0000% of the labels are equal (gate 99.99%)")
