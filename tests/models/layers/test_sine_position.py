from __future__ import annotations

import math

import pytest
import torch

from segship.models.layers.sine_position import SinePositionalEncoding


@pytest.mark.parametrize("normalize", [False, True])
def test_channels_are_sines_and_cosines_of_the_row_then_of_the_column(*, normalize: bool) -> None:
    encoding = SinePositionalEncoding(4, temperature=100, normalize=normalize)((3, 5), torch.zeros(()))
    assert encoding.shape == (1, 15, 8)
    row, column = 2, 4  # counted from 1
    y, x = (row / 3 * 2 * math.pi, column / 5 * 2 * math.pi) if normalize else (row, column)
    expected = [f(v / 100 ** (pair / 2)) for v in (y, x) for pair in (0, 1) for f in (math.sin, math.cos)]
    torch.testing.assert_close(encoding[0, 5 + 3], torch.tensor(expected), rtol=1e-4, atol=1e-5)
