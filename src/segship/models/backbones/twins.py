"""Twins: PCPVT attends to a reduced map, SVT to windows and to a reduced map in turn.

Source: Twins (arXiv:2104.13840), Conditional Positional Encodings (arXiv:2102.10882); upstream
``mmseg/models/backbones/twins.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.spec import SizeRule
from segship.models.layers.attention import SpatialReductionAttention
from segship.models.layers.conv import build_norm
from segship.models.layers.patch_embed import PatchEmbed
from segship.models.layers.tokens import to_map, to_tokens
from segship.models.layers.transformer import FFN, LAYER_NORM
from segship.models.layers.windows import cut, join, window_attention, windows_along
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["PCPVT", "SVT"]


class _WindowAttention(nn.Module):
    """Self-attention inside windows that do not overlap.

    Args:
        embed_dims, num_heads: Width of the tokens, and heads.
        window: Side of the window.
        qkv_bias: Whether queries, keys and values have a bias.
    """

    def __init__(self, embed_dims: int, num_heads: int, window: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window = window
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def _padding_mask(self, size: Size, count: Size, like: Tensor) -> Tensor | None:
        """-1000 between a cell of the map and a cell of the padding, (windows, cells, cells).

        Upstream masks the padding only where both sides are padded: with one side whole, the slice that should mark
        nothing marks everything, and what is the same everywhere masks nothing. Its weights were trained that way.
        """
        padded = [cells * self.window - length for cells, length in zip(count, size, strict=True)]
        both = windows_along(padded[0], self.window) * windows_along(padded[1], self.window)  # 0 or 1
        if type(both) is int and both == 0:  # not one that depends on the input's size
            return None
        down, across = (
            torch.arange(cells * self.window, device=like.device) >= length
            for cells, length in zip(count, size, strict=True)
        )
        outside = cut((down[:, None] | across[None])[None, :, :, None], self.window, count)[0, :, :, 0]
        apart = outside[:, :, None] != outside[:, None, :]
        return torch.where(apart, -1000.0, 0.0).to(like.dtype) * both

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C)."""
        height, width = size
        count = (windows_along(height, self.window), windows_along(width, self.window))
        bottom, right = count[0] * self.window - height, count[1] * self.window - width
        cells = cut(F.pad(torch.unflatten(x, 1, size), (0, 0, 0, right, 0, bottom)), self.window, count)
        mask = self._padding_mask(size, count, x)
        y = window_attention(self.qkv(cells), self.num_heads, bias=None, mask=mask, scale=None)
        y = join(y, self.window, count)[:, :height, :width]
        return self.proj(y.flatten(1, 2))


class _Layer(nn.Module):
    """Attention, then the feed-forward network."""

    def __init__(self, attention: nn.Module, embed_dims: int, wide: int) -> None:
        super().__init__()
        self.norm1 = build_norm(LAYER_NORM, embed_dims)[1]
        self.attn = attention
        self.norm2 = build_norm(LAYER_NORM, embed_dims)[1]
        self.ffn = FFN(embed_dims, wide)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C)."""
        x = x + self.attn(self.norm1(x), size)
        return x + self.ffn(self.norm2(x))


class _PositionEncoding(nn.Module):
    """A 3x3 depthwise convolution beside a shortcut: tells the tokens where they are, at any size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C)."""
        return x + to_tokens(self.proj(to_map(x, size)))


class _Stages(nn.Module):
    """What PCPVT and SVT have in common; ``window_sizes`` makes every second layer of a stage attend inside windows."""

    def __init__(
        self,
        *,
        in_channels: int,
        embed_dims: Sequence[int],
        patch_sizes: Sequence[int],
        strides: Sequence[int],
        num_heads: Sequence[int],
        mlp_ratios: Sequence[int],
        out_indices: Sequence[int],
        qkv_bias: bool,
        norm_cfg: Cfg,
        depths: Sequence[int],
        sr_ratios: Sequence[int],
        norm_after_stage: bool,
        window_sizes: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.out_indices = out_indices
        widths = [in_channels, *embed_dims]
        self.patch_embeds = nn.ModuleList(
            [
                PatchEmbed(widths[i], widths[i + 1], kernel_size=patch_sizes[i], stride=strides[i], norm_cfg=norm_cfg)
                for i in range(len(depths))
            ]
        )
        self.position_encodings = nn.ModuleList([_PositionEncoding(width) for width in embed_dims])

        def layer(stage: int, index: int) -> _Layer:
            width, count = embed_dims[stage], num_heads[stage]
            attention: nn.Module
            if window_sizes is not None and index % 2 == 0:
                attention = _WindowAttention(width, count, window_sizes[stage], qkv_bias=qkv_bias)
            else:
                attention = SpatialReductionAttention(
                    width, count, qkv_bias=qkv_bias, norm_cfg=LAYER_NORM, sr_ratio=sr_ratios[stage]
                )
            return _Layer(attention, width, mlp_ratios[stage] * width)

        self.layers = nn.ModuleList(
            [nn.ModuleList([layer(stage, i) for i in range(depth)]) for stage, depth in enumerate(depths)]
        )
        self.norm_list = None
        if norm_after_stage:
            self.norm_list = nn.ModuleList([build_norm(norm_cfg, width)[1] for width in embed_dims])
        steps = itertools.accumulate(strides[: len(depths)], operator.mul)
        least = max(step * (ratio - 1) + 1 for step, ratio in zip(steps, sr_ratios, strict=False))
        self.sizes = SizeRule(minimum=(least, least))  # below it a map is smaller than its reduction

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> maps of the stages in ``out_indices``, by default H/4, H/8, H/16 and H/32."""
        outputs = []
        for i, (embed, layers) in enumerate(zip(self.patch_embeds, self.layers, strict=True)):
            x, size = embed(x)
            for j, layer in enumerate(layers.children()):
                x = layer(x, size)
                if j == 0:
                    x = self.position_encodings[i](x, size)
            if self.norm_list is not None:
                x = self.norm_list[i](x)
            x = to_map(x, size)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)


@backbones.register
class PCPVT(_Stages):
    """Stages of patches; every layer attends from the whole map to a reduced copy of it.

    Args:
        in_channels: Channels of the image.
        embed_dims: Width of each stage.
        patch_sizes, strides: Of each stage's patch embedding.
        num_heads, mlp_ratios: Attention heads of each stage, and width of its feed-forward network over its own.
        out_indices: Stages whose maps are returned.
        qkv_bias: Whether the attention's projections have a bias.
        norm_cfg: Normalisation of the patch embeddings and after the stages; that inside the layers is fixed.
        depths: Layers of each stage.
        sr_ratios: How many times coarser each stage's keys and values are than its queries.
        norm_after_stage: Whether a normalisation follows each stage.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        embed_dims: Sequence[int] = (64, 128, 256, 512),
        patch_sizes: Sequence[int] = (4, 2, 2, 2),
        strides: Sequence[int] = (4, 2, 2, 2),
        num_heads: Sequence[int] = (1, 2, 4, 8),
        mlp_ratios: Sequence[int] = (4, 4, 4, 4),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = False,
        norm_cfg: Cfg = LAYER_NORM,
        depths: Sequence[int] = (3, 4, 6, 3),
        sr_ratios: Sequence[int] = (8, 4, 2, 1),
        norm_after_stage: bool = False,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            embed_dims=embed_dims,
            patch_sizes=patch_sizes,
            strides=strides,
            num_heads=num_heads,
            mlp_ratios=mlp_ratios,
            out_indices=out_indices,
            qkv_bias=qkv_bias,
            norm_cfg=norm_cfg,
            depths=depths,
            sr_ratios=sr_ratios,
            norm_after_stage=norm_after_stage,
            window_sizes=None,
        )


@backbones.register
class SVT(_Stages):
    """Stages of patches; layers attend inside windows and to a reduced copy of the map, in turn.

    Args:
        windiow_sizes: Side of each stage's windows in tokens (spelt as upstream spells it).
        in_channels, embed_dims, patch_sizes, strides, num_heads, mlp_ratios, out_indices, qkv_bias: As `PCPVT`.
        norm_cfg, depths, sr_ratios, norm_after_stage: As `PCPVT`.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        embed_dims: Sequence[int] = (64, 128, 256),
        patch_sizes: Sequence[int] = (4, 2, 2, 2),
        strides: Sequence[int] = (4, 2, 2, 2),
        num_heads: Sequence[int] = (1, 2, 4),
        mlp_ratios: Sequence[int] = (4, 4, 4),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = False,
        norm_cfg: Cfg = LAYER_NORM,
        depths: Sequence[int] = (4, 4, 4),
        sr_ratios: Sequence[int] = (4, 2, 1),
        windiow_sizes: Sequence[int] = (7, 7, 7),
        norm_after_stage: bool = True,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            embed_dims=embed_dims,
            patch_sizes=patch_sizes,
            strides=strides,
            num_heads=num_heads,
            mlp_ratios=mlp_ratios,
            out_indices=out_indices,
            qkv_bias=qkv_bias,
            norm_cfg=norm_cfg,
            depths=depths,
            sr_ratios=sr_ratios,
            norm_after_stage=norm_after_stage,
            window_sizes=windiow_sizes,
        )
