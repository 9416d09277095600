from __future__ import annotations

import pytest

from segship.quantize.search import search


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
