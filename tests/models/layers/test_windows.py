from __future__ import annotations

import torch
import torch.nn.functional as F

from segship.models.layers.windows import cut, join, relative_position_index, window_attention


def test_rows_of_the_table_for_a_window_of_two_by_two() -> None:
    assert relative_position_index((2, 2)).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


def test_windows_are_the_tiles_of_the_map_row_after_row() -> None:
    x = torch.arange(2 * 6 * 9 * 4.0).reshape(2, 6, 9, 4)
    windows = cut(x, 3, (2, 3))
    assert torch.equal(windows[1, 4], x[1, 3:6, 3:6].reshape(9, 4))
    assert torch.equal(join(windows, 3, (2, 3)), x)


def test_every_window_attends_to_itself_alone_with_bias_and_mask() -> None:
    torch.manual_seed(0)
    batch, windows, cells, heads, width = 2, 3, 4, 2, 6
    qkv = torch.randn(batch, windows, cells, 3 * width)
    bias, mask = torch.randn(heads, cells, cells), torch.randn(windows, cells, cells)

    def one(n: int, w: int, *, masked: bool) -> torch.Tensor:
        q, k, v = (x.reshape(cells, heads, -1).transpose(0, 1) for x in qkv[n, w].chunk(3, dim=1))
        scores = 0.5 * q @ k.transpose(1, 2) + bias + (mask[w] if masked else 0)
        return (F.softmax(scores, 2) @ v).transpose(0, 1).reshape(cells, width)

    for masked in (True, False):
        y = window_attention(qkv, heads, bias=bias, mask=mask if masked else None, scale=0.5)
        expected = torch.stack([one(n, w, masked=masked) for n in range(batch) for w in range(windows)])
        torch.testing.assert_close(y.flatten(0, 1), expected)
