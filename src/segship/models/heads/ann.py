"""Asymmetric non-local head.

Source: Asymmetric Non-local Neural Networks (arXiv:1908.07678); upstream ``mmseg/models/decode_heads/ann_head.py``
(Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.layers.map_attention import SelfAttentionBlock
from segship.models.registry import heads
from segship.networks.resample import AdaptiveAvgPool2d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ANNHead", "AsymmetricBlock"]


class _PyramidCells(nn.ModuleList):
    """(N, C, H, W) -> (N, C, S): the averages over several grids in a row."""

    def __init__(self, pool_scales: Sequence[int]) -> None:
        super().__init__([AdaptiveAvgPool2d(bins) for bins in pool_scales])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([pool(x).flatten(2) for pool in self], dim=2)


class AsymmetricBlock(nn.Module):
    """One map's cells gather from a few averages of another map (upstream ``AFNB`` and ``APNB``).

    Args:
        key_channels: Channels of the map that keys and values are averages of.
        query_channels: Channels of the map that gathers.
        channels: Channels of keys and queries.
        out_channels: Channels of the result and of what was gathered.
        share_key_query: Whether keys and queries have one projection.
        query_scales: One branch for each entry; only 1 works upstream, so only 1 is taken.
        key_pool_scales: Bins along each side, one number for each grid of averages.
        act: Whether the last convolution is activated.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.

    Raises:
        UnsupportedError: A query scale is not 1.
    """

    def __init__(
        self,
        key_channels: int,
        query_channels: int,
        channels: int,
        out_channels: int,
        *,
        share_key_query: bool,
        query_scales: Sequence[int],
        key_pool_scales: Sequence[int],
        act: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg | None,
        act_cfg: Cfg | None,
    ) -> None:
        super().__init__()
        if set(query_scales) != {1}:
            raise UnsupportedError(f"query_scales is {tuple(query_scales)}: only scale 1 is provided")

        def stage() -> SelfAttentionBlock:
            return SelfAttentionBlock(
                key_channels,
                query_channels,
                channels,
                out_channels,
                share_key_query=share_key_query,
                key_query_norm=True,
                matmul_norm=True,
                with_out=True,
                key_downsample=_PyramidCells(key_pool_scales),
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        self.stages = nn.ModuleList([stage() for _ in query_scales])
        self.bottleneck = ConvModule(
            out_channels + query_channels,
            out_channels,
            1,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg if act else None,
        )

    def forward(self, query_map: Tensor, key_map: Tensor) -> Tensor:
        """(N, query_channels, H, W), (N, key_channels, h, w) -> (N, out_channels, H, W)."""
        gathered = [stage(query_map, key_map) for stage in self.stages]
        return self.bottleneck(torch.cat([sum(gathered[1:], gathered[0]), query_map], dim=1))


@heads.register
class ANNHead(DecodeHead):
    """Deep cells gather from an earlier map, then from their own.

    Args:
        in_channels: Channels of the earlier and of the deep map.
        in_index: Indices of the two maps.
        project_channels: Channels of keys and queries.
        query_scales, key_pool_scales: As `AsymmetricBlock`.
        channels, num_classes, out_channels, threshold, align_corners: As `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.

    Raises:
        ConfigError: ``in_channels`` are not two numbers.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        project_channels: int,
        query_scales: Sequence[int] = (1,),
        key_pool_scales: Sequence[int] = (1, 3, 6, 8),
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            input_transform="multiple_select",
            align_corners=align_corners,
        )
        if isinstance(in_channels, int) or len(in_channels) != 2:
            raise ConfigError(f"ANNHead takes two feature maps, in_channels is {in_channels}")
        low, high = in_channels

        def block(key_channels: int, query_channels: int, width: int, *, own: bool) -> AsymmetricBlock:
            return AsymmetricBlock(
                key_channels,
                query_channels,
                project_channels,
                width,
                share_key_query=own,
                query_scales=query_scales,
                key_pool_scales=key_pool_scales,
                act=own,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        self.fusion = block(low, high, high, own=False)
        self.bottleneck = ConvModule(
            high, channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )
        self.context = block(channels, channels, channels, own=True)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        low, high = self.select_many(features)
        x = self.bottleneck(self.fusion(high, low))
        return self.classify(self.context(x, x))
