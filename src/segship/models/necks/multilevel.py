"""The neck that makes a pyramid of a plain transformer's maps.

Source: upstream ``mmseg/models/necks/multilevel_neck.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import nn

from segship.models.layers.conv import Cfg, ConvModule
from segship.models.registry import necks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["MultiLevelNeck"]


@necks.register
class MultiLevelNeck(nn.Module):
    """Project each map, scale it, convolve it.

    Args:
        in_channels: Channels of each map; a single map serves all scales.
        out_channels: Channels of each output.
        scales: Factor for each output's height and width.
        norm_cfg, act_cfg: Of the convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        scales: Sequence[float] = (0.5, 1, 2, 4),
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        self.scales = [float(scale) for scale in scales]

        def conv(width: int, kernel: int) -> ConvModule:
            return ConvModule(width, out_channels, kernel, padding=kernel // 2, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.lateral_convs = nn.ModuleList([conv(width, 1) for width in in_channels])
        self.convs = nn.ModuleList([conv(out_channels, 3) for _ in scales])

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Maps (N, in_channels[i], h, w) -> maps (N, out_channels, h * scales[i], w * scales[i]), rounded down."""
        maps = [conv(x) for conv, x in zip(self.lateral_convs, features, strict=True)]
        if len(maps) == 1:
            maps = maps * len(self.scales)
        # Scaled by the factor, not to a size: the two sample different points where a size is rounded.
        scaled = [
            x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x, scale in zip(maps, self.scales, strict=False)
        ]
        return tuple(conv(x) for conv, x in zip(self.convs, scaled, strict=True))
