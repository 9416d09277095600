"""Swin Transformer.

Source: Swin Transformer (arXiv:2103.14030); upstream ``mmseg/models/backbones/swin.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError
from segship.core.spec import SizeRule
from segship.models.layers.conv import build_norm
from segship.models.layers.patch_embed import PatchEmbed, PatchMerging, pair
from segship.models.layers.tokens import to_map
from segship.models.layers.transformer import FFN, GELU, LAYER_NORM
from segship.models.layers.windows import (
    cut,
    join,
    position_bias,
    relative_position_index,
    window_attention,
    windows_along,
)
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["SwinTransformer"]


def _shift_mask(count: Size, window: int, shift: int, like: Tensor) -> Tensor:
    """What keeps cells apart that a cyclic shift brought together: 0 within a region, -100 across.

    Args:
        count: Windows (down, across).
        window: Side of a window.
        shift: Cells the map was shifted by.
        like: Gives the type and device.

    Returns:
        (windows, window * window, window * window).
    """

    def regions(windows: int) -> Tensor:
        """0 but for the last window, where the cells that came round the edge are 2 and the others 1."""
        length = windows * window
        cell = torch.arange(length, device=like.device)
        return (cell >= length - window).long() + (cell >= length - shift).long()

    down, across = regions(count[0]), regions(count[1])
    region = cut((3 * down[:, None] + across[None])[None, :, :, None], window, count)[0, :, :, 0]
    return torch.where(region[:, :, None] == region[:, None, :], 0.0, -100.0).to(like.dtype)


class _WindowAttention(nn.Module):
    """Self-attention inside a window with a bias for each offset between cells.

    Args:
        embed_dims, num_heads: Width of the tokens, and heads.
        window: Side of the window.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor on the scores; None: the inverse root of a head's width.
    """

    relative_position_index: Tensor

    def __init__(self, embed_dims: int, num_heads: int, window: int, *, qkv_bias: bool, qk_scale: float | None) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = qk_scale or None
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, num_heads))
        self.register_buffer("relative_position_index", relative_position_index((window, window)))
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(N, windows, cells, C), with a mask (windows, cells, cells) or None -> the same shape."""
        bias = position_bias(self.relative_position_bias_table, self.relative_position_index)
        y = window_attention(self.qkv(x), self.num_heads, bias=bias, mask=mask, scale=self.scale)
        return self.proj(y)


class _ShiftedWindows(nn.Module):
    """Pad a map to whole windows, shift it, attend inside the windows, and undo both."""

    def __init__(self, window: int, shift: int, attention: _WindowAttention) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.w_msa = attention

    def forward(self, x: Tensor, size: Size, mask: Tensor | None) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C); ``mask`` is for a shifted map."""
        height, width = size
        count = (windows_along(height, self.window), windows_along(width, self.window))
        bottom, right = count[0] * self.window - height, count[1] * self.window - width
        x = F.pad(torch.unflatten(x, 1, size), (0, 0, 0, right, 0, bottom))
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = join(self.w_msa(cut(x, self.window, count), mask), self.window, count)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), (1, 2))
        return x[:, :height, :width].flatten(1, 2)


class _Block(nn.Module):
    """Attention in windows, then the feed-forward network."""

    def __init__(self, embed_dims: int, wide: int, attention: _ShiftedWindows, *, act_cfg: Cfg, norm_cfg: Cfg) -> None:
        super().__init__()
        self.norm1 = build_norm(norm_cfg, embed_dims)[1]
        self.attn = attention
        self.norm2 = build_norm(norm_cfg, embed_dims)[1]
        self.ffn = FFN(embed_dims, wide, act_cfg=act_cfg)

    def forward(self, x: Tensor, size: Size, mask: Tensor | None) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C)."""
        x = x + self.attn(self.norm1(x), size, mask)
        return x + self.ffn(self.norm2(x))


class _Stage(nn.Module):
    """Blocks of one resolution, every second one shifted, and the step down to the next.

    Args:
        embed_dims, num_heads, depth: Width of the tokens, heads, number of blocks.
        window: Side of the window.
        wide: Width of the feed-forward network.
        qkv_bias, qk_scale: As `_WindowAttention`.
        downsample: The step down, or None.
        act_cfg, norm_cfg: Activation and normalisation.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        depth: int,
        *,
        window: int,
        wide: int,
        qkv_bias: bool,
        qk_scale: float | None,
        downsample: PatchMerging | None,
        act_cfg: Cfg,
        norm_cfg: Cfg,
    ) -> None:
        super().__init__()
        self.window, self.shift = window, window // 2

        def block(shift: int) -> _Block:
            attention = _WindowAttention(embed_dims, num_heads, window, qkv_bias=qkv_bias, qk_scale=qk_scale)
            shifted = _ShiftedWindows(window, shift, attention)
            return _Block(embed_dims, wide, shifted, act_cfg=act_cfg, norm_cfg=norm_cfg)

        self.blocks = nn.ModuleList([block(self.shift * (i % 2)) for i in range(depth)])
        self.downsample = downsample

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """(N, H*W, C) -> (N, H*W, C), before the step down."""
        mask = None
        if self.shift and len(self.blocks) > 1:
            count = (windows_along(size[0], self.window), windows_along(size[1], self.window))
            mask = _shift_mask(count, self.window, self.shift, x)
        for i, block in enumerate(self.blocks):
            x = block(x, size, mask if i % 2 else None)
        return x


@backbones.register
class SwinTransformer(nn.Module):
    """Stages that attend inside windows; the windows of every second block are shifted by half their side.

    Args:
        pretrain_img_size: Image size the absolute position embedding was made for.
        in_channels: Channels of the image.
        embed_dims: Width of the first stage; each later stage is twice as wide.
        patch_size: Side of a patch in pixels.
        window_size: Side of a window in tokens.
        mlp_ratio: Width of the feed-forward network over the stage's.
        depths, num_heads: Blocks of each stage, and attention heads of each block.
        strides: Step of the patch embedding (the patch's side), then of each merging of patches.
        out_indices: Stages whose maps are returned.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor on the attention's scores; None: the inverse root of a head's width.
        patch_norm: Whether patch embedding and merging have a normalisation.
        use_abs_pos_embed: Whether an embedding of absolute positions is added; it fits one image size.
        act_cfg, norm_cfg: Activation and normalisation.

    Raises:
        ConfigError: The first stride is not the patch's side.
    """

    def __init__(
        self,
        *,
        pretrain_img_size: int | Sequence[int] = 224,
        in_channels: int = 3,
        embed_dims: int = 96,
        patch_size: int = 4,
        window_size: int = 7,
        mlp_ratio: float = 4,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        strides: Sequence[int] = (4, 2, 2, 2),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        patch_norm: bool = True,
        use_abs_pos_embed: bool = False,
        act_cfg: Cfg = GELU,
        norm_cfg: Cfg = LAYER_NORM,
    ) -> None:
        super().__init__()
        if strides[0] != patch_size:
            raise ConfigError(f"the first stride ({strides[0]}) must be the patch_size ({patch_size})")
        self.out_indices = out_indices
        between = norm_cfg if patch_norm else None
        self.patch_embed = PatchEmbed(
            in_channels, embed_dims, kernel_size=patch_size, stride=strides[0], norm_cfg=between
        )
        self.absolute_pos_embed = None
        if use_abs_pos_embed:
            height, width = pair(pretrain_img_size)
            self.sizes = SizeRule(fixed=(height, width))
            patches = (height // patch_size) * (width // patch_size)
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, patches, embed_dims))
        self.stages = nn.ModuleList()
        for i, depth in enumerate(depths):
            channels = embed_dims * 2**i
            down = None
            if i < len(depths) - 1:
                down = PatchMerging(channels, 2 * channels, stride=strides[i + 1], norm_cfg=between)
            stage = _Stage(
                channels,
                num_heads[i],
                depth,
                window=window_size,
                wide=int(mlp_ratio * channels),
                qkv_bias=qkv_bias,
                qk_scale=qk_scale,
                downsample=down,
                act_cfg=act_cfg,
                norm_cfg=norm_cfg,
            )
            self.stages.append(stage)
            if i in out_indices:
                self.add_module(f"norm{i}", build_norm(norm_cfg, channels)[1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> maps of the stages in ``out_indices``, by default H/4, H/8, H/16 and H/32."""
        x, size = self.patch_embed(x)
        if self.absolute_pos_embed is not None:
            x = x + self.absolute_pos_embed
        outputs = []
        for i, stage in enumerate(self.stages):
            x = stage(x, size)
            if i in self.out_indices:
                outputs.append(to_map(self.get_submodule(f"norm{i}")(x), size))
            if isinstance(stage.downsample, PatchMerging):
                x, size = stage.downsample(x, size)
        return tuple(outputs)
