"""Attention inside windows of a map: cutting, joining, and what positions inside a window have in common.

Source: Swin Transformer (arXiv:2103.14030), Twins (arXiv:2104.13840).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from segship.models.layers.attention import split_heads

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.tokens import Size

__all__ = ["cut", "join", "relative_position_index", "window_attention", "windows_along"]


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


def windows_along(length: int, window: int) -> int:
    """How many windows cover ``length`` cells, the last one perhaps in part."""
    return (length + window - 1) // window


def cut(x: Tensor, window: int, count: Size) -> Tensor:
    """(N, rows*window, columns*window, C) -> (N, rows*columns, window*window, C); ``count`` is (rows, columns)."""
    rows, columns = count
    x = torch.unflatten(torch.unflatten(x, 2, (columns, window)), 1, (rows, window))
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def join(x: Tensor, window: int, count: Size) -> Tensor:
    """The inverse of `cut`."""
    x = torch.unflatten(torch.unflatten(x, 2, (window, window)), 1, count)
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


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
    windows = qkv.shape[1]
    q, k, v = (split_heads(x, heads) for x in qkv.chunk(3, dim=-1))
    if mask is None:  # windows are as good as images
        q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias[None], scale=scale)
        y = torch.unflatten(y, 0, (qkv.shape[0], windows))
    else:  # windows are as good as heads, each with scores of its own
        q, k, v = (x.flatten(1, 2) for x in (q, k, v))
        scores = mask[:, None].expand(-1, heads, -1, -1) if bias is None else mask[:, None] + bias
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=scores.flatten(0, 1)[None], scale=scale)
        y = torch.unflatten(y, 1, (windows, heads))
    return y.transpose(2, 3).flatten(3)
