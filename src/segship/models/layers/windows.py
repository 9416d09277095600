"""Attention inside windows of a map: cutting, joining, and what positions inside a window have in common.

Source: Swin Transformer (arXiv:2103.14030), Twins (arXiv:2104.13840).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from segship.models.layers.attention import merge_heads, split_heads

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.tokens import Size

__all__ = ["cut", "join", "position_bias", "relative_position_index", "window_attention", "windows_along"]


def relative_position_index(size: Size) -> Tensor:
    """For each pair of cells of a window, the row of a table that holds one row for each offset between cells.

    Args:
        size: Height and width of the window.

    Returns:
        int64 (h*w, h*w), values from 0 to (2h-1)(2w-1) - 1.
    """
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y, x = y.flatten(), x.flatten()
    down = y[:, None] - y[None] + height - 1
    right = x[:, None] - x[None] + width - 1
    return down * (2 * width - 1) + right


def position_bias(table: Tensor, index: Tensor) -> Tensor:
    """Return what is added to the scores of each head for each pair of cells.

    Args:
        table: (offsets, heads).
        index: Rows of the table, int64 (L, L).

    Returns:
        (heads, L, L). Picking from the transposed table spares transposing the result, which is far larger.
    """
    return torch.unflatten(table.t().index_select(1, index.flatten()), 1, (index.shape[0], index.shape[1]))


def windows_along(length: int, window: int) -> int:
    """Return the number of windows that cover ``length`` cells, the last one perhaps in part."""
    return (length + window - 1) // window


def cut(x: Tensor, window: int, count: Size) -> Tensor:
    """(N, rows*window, columns*window, C) -> (N, rows*columns, window*window, C); ``count`` is (rows, columns)."""
    rows, columns = count
    batch, channels = x.shape[0], x.shape[3]
    x = x.reshape(batch * rows, window, columns, window * channels).transpose(1, 2)
    return x.reshape(batch, rows * columns, window * window, channels)


def join(x: Tensor, window: int, count: Size) -> Tensor:
    """The inverse of `cut`."""
    rows, columns = count
    batch, channels = x.shape[0], x.shape[3]
    x = x.reshape(batch * rows, columns, window, window * channels).transpose(1, 2)
    return x.reshape(batch, rows * window, columns * window, channels)


def window_attention(
    qkv: Tensor, heads: int, *, bias: Tensor | None, mask: Tensor | None, scale: float | None
) -> Tensor:
    """Self-attention inside each window.

    Args:
        qkv: (N, windows, L, 3C): queries, keys and values side by side.
        heads: Number of heads.
        bias: Added to the scores of every window, (heads, L, L), or None.
        mask: Added to the scores of every head, (windows, L, L), or None.
        scale: Factor on the scores; None: the inverse root of a head's width.

    Returns:
        (N, windows, L, C).
    """
    batch, windows = qkv.shape[:2]

    def as_heads(x: Tensor) -> Tensor:
        """Windows are as good as heads; so no tensor has more than four axes, which is all that ncnn knows."""
        x = split_heads(x.flatten(0, 1), heads)
        return x.reshape(batch, windows * heads, x.shape[2], x.shape[3])

    q, k, v = map(as_heads, qkv.chunk(3, dim=-1))
    scores = _scores_added(windows, heads, bias, mask)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=scores, scale=scale)
    y = merge_heads(y.reshape(batch * windows, heads, y.shape[2], y.shape[3]))
    return y.reshape(batch, windows, y.shape[1], y.shape[2])


def _scores_added(windows: int, heads: int, bias: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """(1, windows * heads, L, L), or None where there is nothing to add."""
    if bias is not None and mask is not None:
        every = mask[:, None] + bias
    elif bias is not None:
        every = bias[None].expand(windows, -1, -1, -1)
    elif mask is not None:
        every = mask[:, None].expand(-1, heads, -1, -1)
    else:
        return None
    return every.flatten(0, 1)[None]
