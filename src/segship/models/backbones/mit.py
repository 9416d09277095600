"""Mix Transformer, the backbone of SegFormer.

Source: SegFormer (arXiv:2105.15203); upstream ``mmseg/models/backbones/mit.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.spec import SizeRule
from segship.models.layers.activation import build_activation
from segship.models.layers.attention import SpatialReductionAttention
from segship.models.layers.conv import build_norm
from segship.models.layers.patch_embed import PatchEmbed
from segship.models.layers.tokens import to_map, to_tokens
from segship.models.layers.transformer import GELU
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["MixVisionTransformer"]

_NORM: Cfg = {"type": "LN", "eps": 1e-6}


class _MixFFN(nn.Module):
    """Feed-forward network with a 3x3 depthwise convolution inside, which tells the tokens where they are."""

    def __init__(self, embed_dims: int, feedforward_channels: int, act_cfg: Cfg) -> None:
        super().__init__()
        wide = feedforward_channels
        self.layers = nn.Sequential(
            nn.Conv2d(embed_dims, wide, 1),
            nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
            build_activation(act_cfg),
            nn.Identity(),  # upstream's dropout: keeps the number of the layer after it
            nn.Conv2d(wide, embed_dims, 1),
        )

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C)."""
        return to_tokens(self.layers(to_map(x, size)))


class _Layer(nn.Module):
    """Attention over a reduced map, then the feed-forward network."""

    def __init__(
        self, embed_dims: int, num_heads: int, wide: int, sr_ratio: int, *, qkv_bias: bool, act_cfg: Cfg, norm_cfg: Cfg
    ) -> None:
        super().__init__()
        self.norm1 = build_norm(norm_cfg, embed_dims)[1]
        self.attn = SpatialReductionAttention(
            embed_dims, num_heads, qkv_bias=qkv_bias, norm_cfg=norm_cfg, sr_ratio=sr_ratio
        )
        self.norm2 = build_norm(norm_cfg, embed_dims)[1]
        self.ffn = _MixFFN(embed_dims, wide, act_cfg)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C)."""
        x = x + self.attn(self.norm1(x), size)
        return x + self.ffn(self.norm2(x), size)


@backbones.register
class MixVisionTransformer(nn.Module):
    """Four stages of overlapping patches; each halves the map and attends to a reduced copy of it.

    Args:
        in_channels: Channels of the image.
        embed_dims: Width of a head; a stage is ``embed_dims * num_heads`` wide.
        num_stages: Number of stages; the sequences below have an entry for each.
        num_layers: Layers.
        num_heads: Attention heads.
        patch_sizes, strides: Of the patch embeddings.
        sr_ratios: How many times coarser keys and values are than queries.
        out_indices: Stages whose maps are returned.
        mlp_ratio: Width of the feed-forward network over the stage's.
        qkv_bias: Whether the attention's projections have a bias.
        act_cfg, norm_cfg: Activation and normalisation.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        embed_dims: int = 64,
        num_stages: int = 4,
        num_layers: Sequence[int] = (3, 4, 6, 3),
        num_heads: Sequence[int] = (1, 2, 4, 8),
        patch_sizes: Sequence[int] = (7, 3, 3, 3),
        strides: Sequence[int] = (4, 2, 2, 2),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        mlp_ratio: int = 4,
        qkv_bias: bool = True,
        act_cfg: Cfg = GELU,
        norm_cfg: Cfg = _NORM,
    ) -> None:
        super().__init__()
        self.out_indices = out_indices
        self.layers = nn.ModuleList()
        least, step = 1, 1
        for i in range(num_stages):
            width = embed_dims * num_heads[i]
            patch, step = patch_sizes[i], step * strides[i]
            least = max(least, step * (sr_ratios[i] - 1) + 1)
            embed = PatchEmbed(
                in_channels, width, kernel_size=patch, stride=strides[i], padding=patch // 2, norm_cfg=norm_cfg
            )
            layers = [
                _Layer(
                    width,
                    num_heads[i],
                    mlp_ratio * width,
                    sr_ratios[i],
                    qkv_bias=qkv_bias,
                    act_cfg=act_cfg,
                    norm_cfg=norm_cfg,
                )
                for _ in range(num_layers[i])
            ]
            self.layers.append(nn.ModuleList([embed, nn.ModuleList(layers), build_norm(norm_cfg, width)[1]]))
            in_channels = width
        self.sizes = SizeRule(minimum=(least, least))  # below it a map is smaller than its reduction

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> maps at the strides of the stages, by default H/4, H/8, H/16 and H/32."""
        outputs = []
        for i, stage in enumerate(self.layers):
            embed, layers, norm = stage.children()
            x, size = embed(x)
            for layer in layers.children():
                x = layer(x, size)
            x = to_map(norm(x), size)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
