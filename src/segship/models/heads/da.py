"""Dual attention head.

Source: Dual Attention Network (arXiv:1809.02983); upstream ``mmseg/models/decode_heads/da_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import SelfAttentionBlock, as_map
from segship.models.layers.scale import Scale
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ChannelAttention", "DAHead", "PositionAttention"]


class PositionAttention(SelfAttentionBlock):
    """A map plus what its cells gathered from all cells (upstream ``PAM``).

    Args:
        in_channels: Channels of the map.
        channels: Channels of keys and queries.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, in_channels, channels, in_channels)
        self.gamma = Scale(0.0)

    def forward(self, query_map: Tensor, key_map: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W) -> the same shape."""
        return self.gamma(super().forward(query_map, key_map)) + query_map


class ChannelAttention(nn.Module):
    """A map plus, for each channel, the other channels weighted by their unlikeness (upstream ``CAM``)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = Scale(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        channels = x.flatten(2)
        energy = channels @ channels.transpose(1, 2)
        # Subtracting from the maximum changes no softmax but in rounding, which upstream's numbers contain.
        weights = (energy.amax(2, keepdim=True) - energy).softmax(2)
        return self.gamma(as_map(weights @ channels, x)) + x


@heads.register
class DAHead(DecodeHead):
    """The sum of position attention and channel attention, each between two convolutions.

    Args:
        pam_channels: Channels of the keys and queries of the position attention.
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
        pam_channels: int,
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

        def conv(width: int) -> ConvModule:
            return ConvModule(width, channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.pam_in_conv = conv(self.width)
        self.pam = PositionAttention(channels, pam_channels)
        self.pam_out_conv = conv(channels)
        self.cam_in_conv = conv(self.width)
        self.cam = ChannelAttention()
        self.cam_out_conv = conv(channels)
        # Training classifies each attention's result on its own; these weights are kept and never used.
        self.pam_conv_seg = nn.Conv2d(channels, num_classes, 1)
        self.cam_conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        by_position = self.pam_out_conv(self.pam(self.pam_in_conv(x)))
        by_channel = self.cam_out_conv(self.cam(self.cam_in_conv(x)))
        return self.classify(by_position + by_channel)
