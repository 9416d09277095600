"""FCN head: convolutions, then the classifier.

Source: Fully Convolutional Networks (arXiv:1411.4038); upstream ``mmseg/models/decode_heads/fcn_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["FCNHead"]


@heads.register
class FCNHead(DecodeHead):
    """Convolutions, optionally joined with their input, then the classifier.

    Args:
        num_convs: Number of convolutions before the classifier; 0 means none.
        kernel_size: Of these convolutions.
        concat_input: Whether one more convolution joins the input with the convolutions' output.
        dilation: Of these convolutions.
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
        num_convs: int = 2,
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
        )

        def conv(width: int, spread: int) -> ConvModule:
            padding = spread * (kernel_size // 2)
            return ConvModule(
                width,
                channels,
                kernel_size,
                padding=padding,
                dilation=spread,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        widths = [self.width] + [channels] * (num_convs - 1)
        self.convs = nn.Sequential(*[conv(width, dilation) for width in widths[:num_convs]])
        self.conv_cat = conv(self.width + channels, 1) if concat_input else None

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        y = self.convs(x)
        if self.conv_cat is not None:
            y = self.conv_cat(torch.cat([x, y], dim=1))
        return self.classify(y)
