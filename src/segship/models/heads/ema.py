"""Expectation-maximisation attention head.

Source: EMANet (arXiv:1907.13426); upstream ``mmseg/models/decode_heads/ema_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import as_map
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["EMAHead", "EMAModule"]


class EMAModule(nn.Module):
    """Rebuilds a map from a few bases that some steps of expectation maximisation fit to it.

    Args:
        channels: Channels of the map.
        num_bases: Number of bases.
        num_stages: Number of steps, at least 1.

    Raises:
        ConfigError: ``num_stages`` is less than 1.
    """

    bases: Tensor

    def __init__(self, channels: int, num_bases: int, num_stages: int) -> None:
        super().__init__()
        if num_stages < 1:
            raise ConfigError(f"num_stages must be at least 1, not {num_stages}")
        self.num_stages = num_stages
        self.register_buffer("bases", torch.full((1, channels, num_bases), channels**-0.5))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        cells = x.flatten(2)
        bases = self.bases
        for _ in range(self.num_stages):
            weights = (cells.transpose(1, 2) @ bases).softmax(2)
            bases = cells @ (weights / weights.sum(1, keepdim=True).clamp(min=1e-12))
            bases = bases / bases.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)
        return as_map(bases @ weights.transpose(1, 2), x)


@heads.register
class EMAHead(DecodeHead):
    """The map plus what a few bases keep of it, then the classifier.

    Args:
        ema_channels: Channels of the maps the bases are fitted to.
        num_bases: Number of bases.
        num_stages: Steps of expectation maximisation.
        concat_input: Whether one more convolution joins the input with the output.
        momentum: Only training uses it.
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
        ema_channels: int,
        num_bases: int,
        num_stages: int,
        concat_input: bool = True,
        momentum: float = 0.1,  # training updates the bases with it
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

        def conv(width: int, out: int, size: int, *, norm: bool = True, act: bool = True) -> ConvModule:
            return ConvModule(
                width,
                out,
                size,
                padding=size // 2,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg if norm else None,
                act_cfg=act_cfg if act else None,
            )

        self.ema_module = EMAModule(ema_channels, num_bases, num_stages)
        self.ema_in_conv = conv(self.width, ema_channels, 3)
        self.ema_mid_conv = conv(ema_channels, ema_channels, 1, norm=False, act=False)
        self.ema_out_conv = conv(ema_channels, ema_channels, 1, act=False)
        self.bottleneck = conv(ema_channels, channels, 3)
        self.conv_cat = conv(self.width + channels, channels, 3) if concat_input else None

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        y = self.ema_in_conv(x)
        y = (y + self.ema_out_conv(self.ema_module(self.ema_mid_conv(y)).relu())).relu()
        y = self.bottleneck(y)
        return self.classify(y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], dim=1)))
