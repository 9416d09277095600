"""Inverted residual: widen, filter each channel, narrow.

Source: MobileNetV2 (arXiv:1801.04381); upstream ``mmseg/models/utils/inverted_residual.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.conv import Cfg, ConvModule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["InvertedResidual"]


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise and linear 1x1 convolution, with a shortcut where shapes allow it.

    Args:
        in_channels, out_channels: Channels before and after.
        stride: Of the depthwise convolution.
        expand_ratio: Hidden channels over ``in_channels``; 1 leaves the expansion out.
        dilation: Of the depthwise convolution.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`; the last convolution has no activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        expand_ratio: float,
        dilation: int = 1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        hidden = round(in_channels * expand_ratio)
        expand = ConvModule(in_channels, hidden, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        depthwise = ConvModule(
            hidden,
            hidden,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=hidden,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        project = ConvModule(hidden, out_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)
        self.conv = nn.Sequential(*([] if expand_ratio == 1 else [expand]), depthwise, project)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up."""
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y
