"""Attention refinement: a convolution whose channels are gated by their means.

Source: BiSeNet (arXiv:1808.00897); upstream ``mmseg/models/backbones/bisenetv1.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.conv import Cfg, ConvModule
from segship.networks.resample import AdaptiveAvgPool2d

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AttentionRefinement"]

_BN: Cfg = {"type": "BN"}


class AttentionRefinement(nn.Module):
    """3x3 convolution, then a gate for each channel.

    Args:
        in_channels, out_channels: Channels before and after.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_layer = ConvModule(in_channels, out_channels, 3, padding=1, norm_cfg=_BN)
        gate = ConvModule(out_channels, out_channels, 1, norm_cfg=_BN, act_cfg=None)
        self.atten_conv_layer = nn.Sequential(AdaptiveAvgPool2d(1), gate, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        x = self.conv_layer(x)
        return x * self.atten_conv_layer(x)
