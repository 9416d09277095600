from __future__ import annotations

import pytest
import torch

from segship.models.layers.same_padding import pad_same


@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 8), (8, 7), (1, 3)])
def test_a_strided_convolution_covers_the_map_once(kernel_size: int, height: int, width: int) -> None:
    padded = pad_same(torch.ones(1, 1, height, width), kernel_size, 2)
    rows, columns = -(-height // 2), -(-width // 2)
    assert padded.shape[2:] == ((rows - 1) * 2 + kernel_size, (columns - 1) * 2 + kernel_size)


def test_what_cannot_be_halved_goes_to_the_end() -> None:
    padded = pad_same(torch.ones(1, 1, 8, 7), 3, 2)[0, 0]
    assert padded.any(1).tolist() == [True] * 8 + [False]
    assert padded.any(0).tolist() == [False] + [True] * 7 + [False]
