"""The weights of CLIP's transformer layers, for networks that are loaded and described but cannot run.

Source: CLIP (arXiv:2103.00020); names from mmcv ``cnn/bricks/transformer.py`` (Apache-2.0).
"""

from __future__ import annotations

from torch import nn

from segship.models.layers.attention import SelfAttention
from segship.models.layers.conv import Cfg, build_norm
from segship.models.layers.transformer import FFN, LAYER_NORM

__all__ = ["ClipLayerWeights"]


class ClipLayerWeights(nn.Module):
    """Weights of one layer: attention, feed-forward network, and a normalisation before each; it has no ``forward``.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Attention heads.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        qkv_bias: Whether the attention's projections have a bias.
        norm_cfg: The normalisations.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        *,
        mlp_ratio: int = 4,
        qkv_bias: bool = True,
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([SelfAttention(embed_dims, num_heads, bias=qkv_bias)])
        self.ffns = nn.ModuleList([FFN(embed_dims, mlp_ratio * embed_dims)])
        self.norms = nn.ModuleList([build_norm(norm_cfg, embed_dims)[1] for _ in range(2)])
