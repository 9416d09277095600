"""BEiT: a vision transformer that knows positions by a bias on its attention.

Source: BEiT (arXiv:2106.08254); upstream ``mmseg/models/backbones/beit.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.spec import SizeRule
from segship.models.layers.attention import merge_heads, split_heads
from segship.models.layers.patch_embed import PatchEmbed, pair
from segship.models.layers.tokens import Size, to_map
from segship.models.layers.transformer import FFN, GELU, LAYER_NORM, add_norm
from segship.models.layers.windows import position_bias, relative_position_index
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["BEiT"]


def _index_with_class_token(size: Size) -> Tensor:
    """Rows of the bias table for every pair of tokens, the class token first: int64 (h*w + 1, h*w + 1).

    The last three rows of the table are for pairs with the class token: as query, as key, as both.
    """
    patches = relative_position_index(size)
    table = (2 * size[0] - 1) * (2 * size[1] - 1)
    index = F.pad(patches, (1, 0, 1, 0), value=table)
    index[:, 0] = table + 1
    index[0, 0] = table + 2
    return index


class _Attention(nn.Module):
    """Self-attention with a bias for each pair of positions.

    Args:
        embed_dims, num_heads: Width of the tokens, and heads.
        size: Height and width of the patch grid.
        index: Of the bias table, for every pair of tokens of that grid.
        bias: Which of queries, keys and values have a bias: all, none, or all but the keys.
    """

    relative_position_index: Tensor

    def __init__(
        self, embed_dims: int, num_heads: int, size: Size, index: Tensor, bias: bool | Literal["qv_bias"]
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.separate_bias = bias == "qv_bias"
        if self.separate_bias:
            self.q_bias = nn.Parameter(torch.zeros(embed_dims))
            self.v_bias = nn.Parameter(torch.zeros(embed_dims))
        entries = (2 * size[0] - 1) * (2 * size[1] - 1) + 3
        self.relative_position_bias_table = nn.Parameter(torch.zeros(entries, num_heads))
        self.register_buffer("relative_position_index", index)
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=bias is True)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C), L = h*w + 1; ``index`` is a `relative_position_index`."""
        if self.separate_bias:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
            parts = F.linear(x, self.qkv.weight, bias).chunk(3, dim=-1)
        else:
            parts = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in parts)
        scores = position_bias(self.relative_position_bias_table, index)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=scores[None])
        return self.proj(merge_heads(y))


class _Layer(nn.Module):
    """Attention and feed-forward network, each scaled for each channel before it is added."""

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        size: Size,
        index: Tensor,
        *,
        wide: int,
        num_fcs: int,
        bias: bool | Literal["qv_bias"],
        act_cfg: Cfg,
        norm_cfg: Cfg,
    ) -> None:
        super().__init__()
        self.norm1_name = add_norm(self, norm_cfg, embed_dims, "1")
        self.attn = _Attention(embed_dims, num_heads, size, index, bias)
        self.norm2_name = add_norm(self, norm_cfg, embed_dims, "2")
        self.ffn = FFN(embed_dims, wide, num_fcs=num_fcs, act_cfg=act_cfg)
        self.gamma_1 = nn.Parameter(torch.ones(embed_dims))
        self.gamma_2 = nn.Parameter(torch.ones(embed_dims))

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        x = x + self.gamma_1 * self.attn(self.get_submodule(self.norm1_name)(x), index)
        return x + self.gamma_2 * self.ffn(self.get_submodule(self.norm2_name)(x))


@backbones.register
class BEiT(nn.Module):
    """A plain transformer over the patches of an image of one size; every map has the patches' stride.

    Args:
        img_size: The image's size, a number or (height, width); the position bias fits no other.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        embed_dims: Width of the tokens.
        num_layers, num_heads: Layers, and attention heads of each.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        out_indices: Layers whose maps are returned; -1: the last.
        qv_bias: Whether queries and values have a bias.
        norm_cfg, act_cfg: Normalisation and activation.
        patch_norm: Whether the patch embedding has a normalisation.
        final_norm: Whether a normalisation comes after the last layer.
        num_fcs: Linear layers in the feed-forward network.
        init_values: Of the scales, before training; without effect here.
    """

    _bias: ClassVar[bool | Literal["qv_bias"]] = "qv_bias"

    def __init__(
        self,
        *,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_indices: int | Sequence[int] = -1,
        qv_bias: bool = True,
        norm_cfg: Cfg = LAYER_NORM,
        act_cfg: Cfg = GELU,
        patch_norm: bool = False,
        final_norm: bool = False,
        num_fcs: int = 2,
        init_values: float = 0.1,
    ) -> None:
        super().__init__()
        height, width = pair(img_size)
        self.sizes = SizeRule(fixed=(height, width))
        self.grid = (height // patch_size, width // patch_size)
        last = num_layers - 1
        self.out_indices = [last if out_indices == -1 else out_indices] if isinstance(out_indices, int) else out_indices
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, padding=0, norm_cfg=norm_cfg if patch_norm else None
        )
        # Every layer has the same index, 20 MB for 40x40 patches, under its own key: they share one.
        index = _index_with_class_token(self.grid)
        layers = [
            _Layer(
                embed_dims,
                num_heads,
                self.grid,
                index,
                wide=mlp_ratio * embed_dims,
                num_fcs=num_fcs,
                bias=self._bias if qv_bias else False,
                act_cfg=act_cfg,
                norm_cfg=norm_cfg,
            )
            for _ in range(num_layers)
        ]
        self.layers = nn.ModuleList(layers)
        self.final_norm_name = add_norm(self, norm_cfg, embed_dims, "1") if final_norm else None

    def _embed(self, x: Tensor) -> tuple[Tensor, Size]:
        x, size = self.patch_embed(x)
        return torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1), size

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, *img_size) -> maps (N, embed_dims, h, w), one for each of ``out_indices``."""
        x, size = self._embed(x)
        index = self.get_buffer("layers.0.attn.relative_position_index")
        outputs = []
        for i, layer in enumerate(self.layers):
            x = layer(x, index)
            if i == len(self.layers) - 1 and self.final_norm_name is not None:
                x = self.get_submodule(self.final_norm_name)(x)
            if i in self.out_indices:
                outputs.append(to_map(x[:, 1:], size))
        return tuple(outputs)
