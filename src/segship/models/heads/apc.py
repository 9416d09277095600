"""Adaptive pyramid context head.

Source: Adaptive Pyramid Context Network (He et al., CVPR 2019); upstream ``mmseg/models/decode_heads/apc_head.py``
(Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import as_map
from segship.models.registry import heads
from segship.networks.resample import adaptive_avg_pool2d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["APCHead", "AdaptiveContext"]


class AdaptiveContext(nn.Module):
    """Describes every cell by the averages of a few regions, weighted by learnt affinities (upstream ``ACM``).

    Args:
        pool_scale: Regions along each side.
        fusion: Whether one more convolution follows.
        in_channels: Channels of the map.
        channels: Channels of the result.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        pool_scale: int,
        in_channels: int,
        channels: int,
        *,
        fusion: bool,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__()

        def conv(width: int) -> ConvModule:
            return ConvModule(width, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.pool_scale = pool_scale
        self.pooled_redu_conv = conv(in_channels)
        self.input_redu_conv = conv(in_channels)
        self.global_info = conv(channels)
        self.gla = nn.Conv2d(channels, pool_scale**2, 1)
        self.residual_conv = conv(channels)
        self.fusion_conv = conv(channels) if fusion else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        regions = self.pooled_redu_conv(adaptive_avg_pool2d(x, self.pool_scale))
        x = self.input_redu_conv(x)
        affinity = self.gla(x + self.global_info(adaptive_avg_pool2d(x, 1))).sigmoid()
        context = as_map(regions.flatten(2) @ affinity.flatten(2), x)
        y = (self.residual_conv(context) + x).relu()
        return y if self.fusion_conv is None else self.fusion_conv(y)


@heads.register
class APCHead(DecodeHead):
    """The map and its context at several scales, one convolution, the classifier.

    Args:
        pool_scales: Regions along each side, one number for each scale.
        fusion: Whether a convolution follows each context.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        fusion: bool = True,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
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
            input_transform=input_transform,
            align_corners=align_corners,
        )
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.acm_modules = nn.ModuleList(
            [AdaptiveContext(scale, self.width, channels, fusion=fusion, **cfgs) for scale in pool_scales]
        )
        self.bottleneck = ConvModule(self.width + len(pool_scales) * channels, channels, 3, padding=1, **cfgs)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        maps = [x, *[module(x) for module in self.acm_modules]]
        return self.classify(self.bottleneck(torch.cat(maps, dim=1)))
