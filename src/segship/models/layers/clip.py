"""CLIP's transformer layer, and what Side Adapter Networks do around it.

Source: CLIP (arXiv:2103.00020); names from mmcv ``cnn/bricks/transformer.py`` (Apache-2.0).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.attention import SelfAttention
from segship.models.layers.conv import Cfg, build_norm
from segship.models.layers.transformer import FFN, LAYER_NORM

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["QUICK_GELU", "ClipLayer", "scaled"]

QUICK_GELU: Cfg = {"type": "QuickGELU"}
_FINEST = 1000
_ROWS, _COLUMNS = 2, 3


class ClipLayer(nn.Module):
    """One layer: attention and feed-forward network, a normalisation before and a residual connection beside each.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Attention heads.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        qkv_bias: Whether the attention's projections have a bias.
        act_cfg: Activation of the feed-forward network.
        norm_cfg: The normalisations.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        mlp_ratio: int = 4,
        qkv_bias: bool = True,
        act_cfg: Cfg = QUICK_GELU,
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([SelfAttention(embed_dims, num_heads, bias=qkv_bias)])
        self.ffns = nn.ModuleList([FFN(embed_dims, mlp_ratio * embed_dims, act_cfg=act_cfg)])
        self.norms = nn.ModuleList([build_norm(norm_cfg, embed_dims)[1] for _ in range(2)])

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Tokens (N, L, C) -> (N, L, C); ``mask``, (N, heads, L, L) or of fewer axes, is added to the scores."""
        attention: SelfAttention = self.attentions[0]  # type: ignore[assignment]
        x = x + attention.attn(self.norms[0](x), mask=mask)
        found: Tensor = x + self.ffns[0](self.norms[1](x))
        return found


def scaled(x: Tensor, factor: float) -> Tensor:
    """Resize maps bilinearly by a factor: ``torch.nn.functional.interpolate(x, scale_factor=factor, mode="bilinear")``.

    Positions are those of the factor itself and not of the two rounded sizes, as torch takes them.

    Args:
        x: (N, C, H, W); H and W may be symbolic.
        factor: Of both sides.

    Returns:
        (N, C, H * factor, W * factor), each side rounded down.
    """
    return (_weights(x, _ROWS, factor) @ x) @ _weights(x, _COLUMNS, factor).transpose(0, 1)


def _weights(x: Tensor, axis: int, factor: float) -> Tensor:
    """What each cell of the result takes of each cell along an axis: (length * factor, length)."""
    length, ratio = x.shape[axis], Fraction(factor).limit_denominator(_FINEST)
    count = length * ratio.numerator // ratio.denominator
    places = (torch.arange(count, device=x.device).to(x.dtype) + 0.5) * (1 / factor) - 0.5
    places = places.clamp(min=0.0)
    cells = torch.arange(length, device=x.device).to(x.dtype)
    places = torch.minimum(places, cells[-1:])
    return (1 - (places[:, None] - cells[None]).abs()).clamp(min=0.0)
