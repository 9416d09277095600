"""Joint pyramid upsampling: what dilated backbones compute, from the maps of an undilated one.

Source: FastFCN (arXiv:1903.11816); upstream ``mmseg/models/necks/jpu.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule, DepthwiseSeparableConvModule
from segship.models.layers.residual import BN
from segship.models.registry import necks
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["JPU"]


@necks.register
class JPU(nn.Module):
    """The maps joined at the first one's size and filtered at several dilations.

    Args:
        in_channels: Channels of each map.
        mid_channels: Channels each map is reduced to, and those of each dilation's result.
        start_level, end_level: First map used, and the one after the last; -1: up to the last map.
        dilations: Of the separable convolutions.
        align_corners: How maps are resized.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (512, 1024, 2048),
        mid_channels: int = 512,
        start_level: int = 0,
        end_level: int = -1,
        dilations: Sequence[int] = (1, 2, 4, 8),
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = BN,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__()
        self.start = start_level
        self.end = len(in_channels) if end_level == -1 else end_level
        self.align_corners = align_corners
        used = in_channels[self.start : self.end]

        def reduce(width: int) -> ConvModule:
            return ConvModule(width, mid_channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        def dilated(rate: int) -> DepthwiseSeparableConvModule:
            return DepthwiseSeparableConvModule(
                len(used) * mid_channels,
                mid_channels,
                3,
                padding=rate,
                dilation=rate,
                norm_cfg=norm_cfg,
                dw_act_cfg=None,
                pw_act_cfg=act_cfg,
            )

        self.conv_layers = nn.ModuleList([nn.Sequential(reduce(width)) for width in used])
        self.dilation_layers = nn.ModuleList([nn.Sequential(dilated(rate)) for rate in dilations])

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Maps used -> the same, but the last is (N, len(dilations) * mid_channels, h, w) of the first one's size."""
        maps = features[self.start : self.end]
        first, *rest = [conv(x) for conv, x in zip(self.conv_layers, maps, strict=True)]
        resized = [resize(x, first.shape[2:], align_corners=self.align_corners) for x in rest]
        joined = torch.cat([first, *resized], dim=1)
        return (*maps[:-1], torch.cat([conv(joined) for conv in self.dilation_layers], dim=1))
