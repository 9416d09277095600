"""Multi-head attention under the parameter names of ``torch.nn.MultiheadAttention`` and mmcv's wrappers around it.

Source: Attention Is All You Need (arXiv:1706.03762); the spatial reduction is Pyramid Vision Transformer's
(arXiv:2102.12122); names from torch and mmcv ``cnn/bricks/transformer.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import build_norm
from segship.models.layers.tokens import to_map, to_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["MultiheadAttention", "SelfAttention", "SpatialReductionAttention", "merge_heads", "split_heads"]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(..., L, C) -> (..., heads, L, C / heads)."""
    return torch.unflatten(x, -1, (heads, x.shape[-1] // heads)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """(..., heads, L, C / heads) -> (..., L, C), the inverse of `split_heads`."""
    x = x.transpose(-3, -2)
    if torch.compiler.is_exporting():
        # Attention lays its result out in another order once it is decomposed; a view recorded here would be refused.
        x = x.clone(memory_format=torch.contiguous_format)
    return x.flatten(-2)


class MultiheadAttention(nn.Module):
    """``torch.nn.MultiheadAttention`` (``batch_first``, no weights returned) written for export.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Number of heads; divides ``embed_dims``.
        bias: Whether both projections have a bias.
        fused: Whether scores, softmax and sum are one operator. Written out they are rounded as in
            ``torch.nn.MultiheadAttention``, for networks that magnify rounding.

    Raises:
        ConfigError: ``embed_dims`` cannot be divided among the heads.
    """

    in_proj_bias: Tensor | None

    def __init__(self, embed_dims: int, num_heads: int, *, bias: bool = True, fused: bool = True) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ConfigError(f"{embed_dims} channels cannot be divided among {num_heads} attention heads")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.fused = fused
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dims, embed_dims))
        nn.init.xavier_uniform_(self.in_proj_weight)
        if bias:
            self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dims))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = nn.Linear(embed_dims, embed_dims, bias=bias)

    def _project(self, x: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
        """Projections ``first`` to ``last`` of query (0), key (1), value (2), computed as one product."""
        rows = slice(first * self.embed_dims, last * self.embed_dims)
        whole = (first, last) == (0, 3)
        weight = self.in_proj_weight if whole else self.in_proj_weight[rows]
        bias = self.in_proj_bias
        if bias is not None and not whole:
            bias = bias[rows]
        y = F.linear(x, weight, bias)
        return (y,) if last - first == 1 else y.chunk(last - first, dim=-1)

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, *, mask: Tensor | None = None
    ) -> Tensor:
        """Attend from each query to all keys.

        Args:
            query: (N, L, C).
            key: (N, S, C); None: the queries themselves.
            value: (N, S, C); None: the keys.
            mask: Broadcastable to (N, heads, L, S); float: added to the scores, bool: True where attention is allowed.

        Returns:
            (N, L, C).
        """
        if key is None:
            q, k, v = self._project(query, 0, 3)
        elif value is None:
            (q,) = self._project(query, 0, 1)
            k, v = self._project(key, 1, 3)
        else:
            (q,), (k,), (v,) = self._project(query, 0, 1), self._project(key, 1, 2), self._project(value, 2, 3)
        q, k, v = (split_heads(x, self.num_heads) for x in (q, k, v))
        if self.fused or mask is not None:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            y = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
        return self.out_proj(merge_heads(y))


class SelfAttention(nn.Module):
    """mmcv's ``MultiheadAttention`` of a sequence with itself; it only adds a level (``attn.``) to the keys.

    Args:
        embed_dims, num_heads, bias, fused: As `MultiheadAttention`.
    """

    def __init__(self, embed_dims: int, num_heads: int, *, bias: bool = True, fused: bool = True) -> None:
        super().__init__()
        self.attn = MultiheadAttention(embed_dims, num_heads, bias=bias, fused=fused)

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C), without the residual connection."""
        return self.attn(x)


class SpatialReductionAttention(nn.Module):
    """Attention whose keys and values come from a coarser map (SegFormer, Twins).

    Args:
        embed_dims, num_heads: As `MultiheadAttention`.
        qkv_bias: Whether the projections have a bias.
        norm_cfg: Normalisation of the coarser map.
        sr_ratio: How many times coarser; 1: plain self-attention.
    """

    def __init__(self, embed_dims: int, num_heads: int, *, qkv_bias: bool, norm_cfg: Cfg, sr_ratio: int = 1) -> None:
        super().__init__()
        self.attn = MultiheadAttention(embed_dims, num_heads, bias=qkv_bias)
        self.sr_ratio = sr_ratio
        if sr_ratio > 1:
            self.sr = nn.Conv2d(embed_dims, embed_dims, sr_ratio, stride=sr_ratio)
            self.norm = build_norm(norm_cfg, embed_dims)[1]

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) of a map of ``size`` (H, W) -> (N, H*W, C), without the residual connection."""
        if self.sr_ratio == 1:
            return self.attn(x)
        return self.attn(x, self.norm(to_tokens(self.sr(to_map(x, size)))))
