from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segship.models.heads.dm import filter_depthwise


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_filters_of_every_image_and_channel_are_a_grouped_convolution(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    x = torch.randn(2, 3, 5, 9, generator=generator)
    filters = torch.randn(2, 3, size, size, generator=generator)
    before, after = size // 2, (size - 1) // 2
    padded = F.pad(x, (before, after, before, after)).reshape(1, 6, 5 + size - 1, 9 + size - 1)
    expected = F.conv2d(padded, filters.reshape(6, 1, size, size), groups=6).reshape(2, 3, 5, 9)
    torch.testing.assert_close(filter_depthwise(x, filters), expected, rtol=0, atol=1e-5)
