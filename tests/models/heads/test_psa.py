from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from segship.core.errors import ConfigError, SizeError
from segship.models.heads.psa import PSAHead, collect, resize_aligned_if


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(
    ("size", "target"), [((19, 27), (10, 14)), ((12, 16), (19, 27)), ((18, 26), (9, 13)), ((5, 7), (1, 20))]
)
def test_resizing_by_a_flag_in_the_data_is_torchs(
    size: tuple[int, int], target: tuple[int, int], aligned: bool
) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    resized = resize_aligned_if(x, target, torch.tensor(float(aligned)))
    expected = F.interpolate(x, target, mode="bilinear", align_corners=aligned)
    # A float32 coordinate near 27 is off by up to 1e-6, and neighbours of N(0, 1) noise differ by up to about 5.
    torch.testing.assert_close(resized, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mask_size", [(3, 5), (4, 2), (9, 13), (1, 1)])
def test_a_mask_is_laid_on_the_map_around_its_cell(mask_size: tuple[int, int]) -> None:
    height, width = 4, 6
    mask_height, mask_width = mask_size
    masks = torch.randn(2, mask_height * mask_width, height, width, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(2, height * width, height * width)
    for row, column, i, j in itertools.product(range(height), range(width), range(mask_height), range(mask_width)):
        to_row, to_column = row + i - (mask_height - 1) // 2, column + j - (mask_width - 1) // 2
        if 0 <= to_row < height and 0 <= to_column < width:
            expected[:, to_row * width + to_column, row * width + column] = masks[:, i * mask_width + j, row, column]
    assert torch.equal(collect(masks, mask_size), expected)


def test_a_compact_head_names_the_cells_it_needs() -> None:
    head = PSAHead(4, 4, num_classes=2, mask_size=(3, 5), compact=True).eval()
    with pytest.raises(SizeError, match="3x5"):
        head([torch.zeros(1, 4, 8, 8)])


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="bi-direction"):
        PSAHead(4, 4, num_classes=2, mask_size=(3, 5), psa_type="both")  # type: ignore[arg-type]
