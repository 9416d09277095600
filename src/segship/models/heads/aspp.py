"""DeepLab's heads: parallel convolutions of several dilations, plain (V3) or separable with a decoder (V3+).

Source: DeepLabV3 (arXiv:1706.05587), DeepLabV3+ (arXiv:1802.02611); upstream
``mmseg/models/decode_heads/aspp_head.py`` and ``sep_aspp_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule, DepthwiseSeparableConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.registry import heads
from segship.networks.resample import AdaptiveAvgPool2d, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ASPPHead", "DepthwiseSeparableASPPHead"]


@heads.register
class ASPPHead(DecodeHead):
    """Convolutions of several dilations and the map's average, one convolution over all of it, then the classifier.

    Args:
        dilations: One for each branch; a branch of dilation 1 is a 1x1 convolution, the others are 3x3.
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
        dilations: Sequence[int] = (1, 6, 12, 18),
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

        def conv(width: int, kernel_size: int, dilation: int = 1) -> ConvModule:
            return ConvModule(
                width,
                channels,
                kernel_size,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        self.image_pool = nn.Sequential(AdaptiveAvgPool2d(1), conv(self.width, 1))
        self.aspp_modules = nn.ModuleList([conv(self.width, 1 if rate == 1 else 3, rate) for rate in dilations])
        self.bottleneck = conv((len(dilations) + 1) * channels, 3)

    def pyramid(self, x: Tensor) -> Tensor:
        """(N, width, h, w) -> (N, channels, h, w)."""
        average = resize(self.image_pool(x), x.shape[2:], align_corners=self.align_corners)
        branches = [branch(x) for branch in self.aspp_modules]
        return self.bottleneck(torch.cat([average, *branches], dim=1))

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        return self.classify(self.pyramid(self.select(features)))


@heads.register
class DepthwiseSeparableASPPHead(ASPPHead):
    """`ASPPHead` of separable convolutions; its result is resized to the first map and filtered together with it.

    Args:
        c1_in_channels: Channels of the first map; 0: it is not used.
        c1_channels: Channels it is reduced to.
        dilations, in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform,
            align_corners, conv_cfg, norm_cfg, act_cfg: As `ASPPHead`.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        c1_in_channels: int,
        c1_channels: int,
        dilations: Sequence[int] = (1, 6, 12, 18),
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
            dilations=dilations,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            input_transform=input_transform,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

        def separable(width: int, dilation: int = 1) -> DepthwiseSeparableConvModule:
            return DepthwiseSeparableConvModule(
                width, channels, 3, padding=dilation, dilation=dilation, norm_cfg=norm_cfg, act_cfg=act_cfg
            )

        for i, rate in enumerate(dilations):
            if rate > 1:
                self.aspp_modules[i] = separable(self.width, rate)
        self.c1_bottleneck: ConvModule | None = None
        if c1_in_channels > 0:
            self.c1_bottleneck = ConvModule(
                c1_in_channels, c1_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
            )
        self.sep_bottleneck = nn.Sequential(separable(channels + c1_channels), separable(channels))

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w) of the first map's size."""
        x = self.pyramid(self.select(features))
        if self.c1_bottleneck is not None:
            fine = self.c1_bottleneck(features[0])
            x = torch.cat([resize(x, fine.shape[2:], align_corners=self.align_corners), fine], dim=1)
        return self.classify(self.sep_bottleneck(x))
