"""FCN head of depthwise separable convolutions.

Source: Fast-SCNN (arXiv:1902.04502); upstream ``mmseg/models/decode_heads/sep_fcn_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, DepthwiseSeparableConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["DepthwiseSeparableFCNHead"]


@heads.register
class DepthwiseSeparableFCNHead(DecodeHead):
    """An `FCNHead` whose convolutions are each split in a depthwise and a pointwise one.

    Args:
        num_convs: Number of convolutions before the classifier, at least 1.
        kernel_size: Of these convolutions.
        concat_input: Whether one more convolution joins the input with the convolutions' output.
        dw_act_cfg: Activation after the depthwise parts.
        dilation, act_cfg: Without effect, as upstream: nothing is dilated, the pointwise parts always end in a ReLU.
        norm_cfg: As `ConvModule`.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
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
        dw_act_cfg: Cfg | None = None,
        dilation: int = 1,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
        align_corners: bool = False,
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

        def conv(width: int) -> DepthwiseSeparableConvModule:
            padding = kernel_size // 2
            return DepthwiseSeparableConvModule(
                width, channels, kernel_size, padding=padding, norm_cfg=norm_cfg, dw_act_cfg=dw_act_cfg
            )

        self.convs = nn.Sequential(*[conv(width) for width in [self.width] + [channels] * (num_convs - 1)])
        self.conv_cat = conv(self.width + channels) if concat_input else None

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        y = self.convs(x)
        if self.conv_cat is not None:
            y = self.conv_cat(torch.cat([x, y], dim=1))
        return self.classify(y)
