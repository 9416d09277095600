"""UPerNet's head: pyramid pooling on the deepest map, then a feature pyramid over all of them.

Source: UPerNet (arXiv:1807.10221); upstream ``mmseg/models/decode_heads/uper_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.layers.pyramid_pooling import PyramidPooling
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["UPerHead"]


@heads.register
class UPerHead(DecodeHead):
    """A feature pyramid whose top is pooled over several grids; all levels are joined at the first one's size.

    Args:
        pool_scales: Bins along each side, one number for each grid.
        in_channels, in_index: Of the maps, from the largest to the smallest.
        channels, num_classes, out_channels, threshold, align_corners: As `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        in_index: Sequence[int],
        pool_scales: Sequence[int] = (1, 2, 3, 6),
        out_channels: int | None = None,
        threshold: float | None = None,
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

        def conv(width: int, kernel_size: int) -> ConvModule:
            return ConvModule(
                width,
                channels,
                kernel_size,
                padding=kernel_size // 2,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        self.psp_modules = PyramidPooling(
            pool_scales,
            in_channels[-1],
            channels,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.bottleneck = conv(in_channels[-1] + len(pool_scales) * channels, 3)
        self.lateral_convs = nn.ModuleList([conv(width, 1) for width in in_channels[:-1]])
        self.fpn_convs = nn.ModuleList([conv(channels, 3) for _ in in_channels[:-1]])
        self.fpn_bottleneck = conv(len(in_channels) * channels, 3)

    def pyramid(self, maps: Features) -> list[Tensor]:
        """The maps, largest first -> levels (N, channels, h_i, w_i), each with all smaller ones added to it."""
        level = self.bottleneck(torch.cat([maps[-1], *self.psp_modules(maps[-1])], dim=1))
        levels = [level]
        for lateral, x in zip(reversed(self.lateral_convs), reversed(maps[:-1]), strict=True):
            level = lateral(x) + resize(level, x.shape[2:], align_corners=self.align_corners)
            levels.append(level)
        return levels[::-1]

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w) of the first selected map's size."""
        levels = self.pyramid(self.select_many(features))
        outputs = [conv(level) for conv, level in zip(self.fpn_convs, levels[:-1], strict=True)]
        outputs.append(levels[-1])
        size = levels[0].shape[2:]
        first, *rest = outputs
        resized = [resize(x, size, align_corners=self.align_corners) for x in rest]
        return self.classify(self.fpn_bottleneck(torch.cat([first, *resized], dim=1)))
