from __future__ import annotations

import pytest

from segship.core.manifest import Accuracy
from segship.quantize.gate import Gate
from segship.quantize.search import search

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
    found = Gate().failures(BEFORE, after)
    assert len(found) == len(words)
    assert all(text.startswith(word) for text, word in zip(found, words, strict=True))


@pytest.mark.parametrize("needed", range(1, 41))
def test_the_search_finds_the_least_number_of_layers(needed: int) -> None:
    layers = [f"layer{index}" for index in range(40)]
    tried: list[int] = []

    def attempt(kept: tuple[str, ...]) -> tuple[bool, int]:
        tried.append(len(kept))
        return len(kept) >= needed, len(kept)

    best, passed = search(layers, attempt)
    assert passed
    assert best.kept == tuple(layers[:needed])
    assert best.result == needed
    assert len(tried) <= 12  # 2 log2(40)


def test_a_gate_that_nothing_passes_ends_with_everything_kept() -> None:
    best, passed = search(["a", "b", "c"], lambda kept: (False, len(kept)))
    assert not passed
    assert best.kept == ("a", "b", "c")


def test_without_layers_the_search_still_answers() -> None:
    best, passed = search([], lambda kept: (False, len(kept)))
    assert (best.kept, passed) == ((), False)
