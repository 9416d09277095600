"""Criss-cross attention head.

Source: CCNet (arXiv:1811.11721); upstream ``mmseg/models/decode_heads/cc_head.py`` and ``CrissCrossAttention`` in mmcv
``ops/cc_attention.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.heads.fcn import FCNHead
from segship.models.layers.conv import RELU, Cfg
from segship.models.layers.scale import Scale
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features, InputTransform

__all__ = ["CCHead", "CrissCrossAttention"]


class CrissCrossAttention(nn.Module):
    """Every cell attends to the cells of its row and of its column.

    Args:
        in_channels: Channels of the map; keys and queries have an eighth of them.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.query_conv = nn.Conv2d(in_channels, in_channels // 8, 1)
        self.key_conv = nn.Conv2d(in_channels, in_channels // 8, 1)
        self.value_conv = nn.Conv2d(in_channels, in_channels, 1)
        self.gamma = Scale(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> the same shape."""
        height = x.shape[2]
        query, key, value = self.query_conv(x), self.key_conv(x), self.value_conv(x)
        in_row = query.permute(0, 2, 3, 1) @ key.transpose(1, 2)  # (N, H, W, W)
        in_column = query.permute(0, 3, 2, 1) @ key.permute(0, 3, 1, 2)  # (N, W, H, H)
        # A cell is in both its row and its column; it counts once, in the row.
        index = torch.arange(height, device=x.device)
        in_column = in_column + torch.where(index == index.unsqueeze(1), float("-inf"), 0.0)
        weights = torch.cat([in_column.transpose(1, 2), in_row], dim=3).softmax(3)
        of_column, of_row = weights[..., :height], weights[..., height:]
        from_column = of_column.transpose(1, 2) @ value.permute(0, 3, 2, 1)  # (N, W, H, C)
        from_row = of_row @ value.permute(0, 2, 3, 1)  # (N, H, W, C)
        y = from_column.permute(0, 3, 2, 1) + from_row.permute(0, 3, 1, 2)
        return self.gamma(y) + x


@heads.register
class CCHead(FCNHead):
    """Criss-cross attention, repeated with the same weights, between two convolutions.

    Args:
        recurrence: How many times; twice reaches every cell from every other.
        kernel_size, concat_input, dilation: As `FCNHead`.
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
        recurrence: int = 2,
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int = 1,
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
            num_convs=2,
            kernel_size=kernel_size,
            concat_input=concat_input,
            dilation=dilation,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.recurrence = recurrence
        self.cca = CrissCrossAttention(channels)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        y = self.convs[0](x)
        for _ in range(self.recurrence):
            y = self.cca(y)
        y = self.convs[1](y)
        return self.classify(y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], dim=1)))
