"""Fast-SCNN: one shallow stem feeds both a global branch and the fusion that joins it again.

Source: Fast-SCNN (arXiv:1902.04502); upstream ``mmseg/models/backbones/fast_scnn.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule, DepthwiseSeparableConvModule
from segship.models.layers.inverted_residual import InvertedResidual
from segship.models.layers.pyramid_pooling import PyramidPooling
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["FastSCNN"]

_BN: Cfg = {"type": "BN"}
_EXPANSION = 6
_REPEATS = 3
_POOL_SCALES = (1, 2, 3, 6)


class _LearningToDownsample(nn.Module):
    """Three convolutions of stride 2; only the first mixes channels and space at once."""

    def __init__(
        self, widths: Sequence[int], *, conv_cfg: Cfg | None, norm_cfg: Cfg, act_cfg: Cfg, dw_act_cfg: Cfg | None
    ) -> None:
        super().__init__()
        image, first, second, last = widths
        self.conv = ConvModule(
            image, first, 3, stride=2, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

        def separable(before: int, after: int) -> nn.Module:
            # Upstream hands act_cfg to neither of the two, so their pointwise part is always a ReLU.
            return DepthwiseSeparableConvModule(
                before, after, 3, stride=2, padding=1, norm_cfg=norm_cfg, dw_act_cfg=dw_act_cfg
            )

        self.dsconv1 = separable(first, second)
        self.dsconv2 = separable(second, last)

    def forward(self, x: Tensor) -> Tensor:
        """(N, image, H, W) -> (N, last, H / 8, W / 8)."""
        return self.dsconv2(self.dsconv1(self.conv(x)))


class _GlobalFeatures(nn.Module):
    """Three groups of inverted residuals, then pyramid pooling."""

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        strides: Sequence[int],
        out_channels: int,
        *,
        align_corners: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        super().__init__()

        def group(before: int, after: int, stride: int) -> nn.Sequential:
            blocks = [(before, stride)] + [(after, 1)] * (_REPEATS - 1)
            return nn.Sequential(
                *[
                    InvertedResidual(b, after, stride=s, expand_ratio=_EXPANSION, norm_cfg=norm_cfg, act_cfg=act_cfg)
                    for b, s in blocks
                ]
            )

        first, second, last = widths
        self.bottleneck1 = group(in_channels, first, strides[0])
        self.bottleneck2 = group(first, second, strides[1])
        self.bottleneck3 = group(second, last, strides[2])
        self.ppm = PyramidPooling(
            _POOL_SCALES,
            last,
            last // 4,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.out = ConvModule(
            last * 2, out_channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / 4, W / 4) at the default strides."""
        x = self.bottleneck3(self.bottleneck2(self.bottleneck1(x)))
        return self.out(torch.cat([x, *self.ppm(x)], dim=1))


class _Fusion(nn.Module):
    """The global branch, resized and filtered, added to the stem's output."""

    def __init__(
        self,
        high: int,
        low: int,
        out_channels: int,
        *,
        align_corners: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.dwconv = ConvModule(
            low,
            out_channels,
            3,
            padding=1,
            groups=out_channels,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

        def linear(width: int) -> ConvModule:
            return ConvModule(width, out_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)

        self.conv_lower_res = linear(out_channels)
        self.conv_higher_res = linear(high)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """(N, high, H, W) and (N, low, h, w) -> (N, out_channels, H, W)."""
        low = resize(low, high.shape[2:], align_corners=self.align_corners)
        return (self.conv_higher_res(high) + self.conv_lower_res(self.dwconv(low))).relu()


@backbones.register
class FastSCNN(nn.Module):
    """Fast-SCNN; its maps are the stem's (1/8), the global branch's (1/32) and the fusion's (1/8).

    Args:
        in_channels: Channels of the image.
        downsample_dw_channels: Channels after the stem's first and second convolution.
        global_in_channels: Channels of the stem's output.
        global_block_channels, global_block_strides: Of the three groups of inverted residuals.
        global_out_channels: Channels of the global branch.
        higher_in_channels, lower_in_channels: What the fusion takes; must equal the two above.
        fusion_out_channels: Channels of the fusion.
        out_indices: Which of the three maps are returned.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
        align_corners: How maps are resized.
        dw_act_cfg: Activation after the stem's depthwise convolutions.

    Raises:
        ConfigError: The fusion is told other channels than the branches have.
    """

    def __init__(
        self,
        in_channels: int = 3,
        downsample_dw_channels: Sequence[int] = (32, 48),
        global_in_channels: int = 64,
        global_block_channels: Sequence[int] = (64, 96, 128),
        global_block_strides: Sequence[int] = (2, 2, 1),
        global_out_channels: int = 128,
        higher_in_channels: int = 64,
        lower_in_channels: int = 128,
        fusion_out_channels: int = 128,
        out_indices: Sequence[int] = (0, 1, 2),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
        align_corners: bool = False,
        dw_act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        if (global_in_channels, global_out_channels) != (higher_in_channels, lower_in_channels):
            raise ConfigError(
                f"higher_in_channels and lower_in_channels are {higher_in_channels} and {lower_in_channels}; they must "
                f"equal global_in_channels and global_out_channels, {global_in_channels} and {global_out_channels}"
            )
        self.out_indices = tuple(out_indices)
        self.learning_to_downsample = _LearningToDownsample(
            [in_channels, *downsample_dw_channels, global_in_channels],
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            dw_act_cfg=dw_act_cfg,
        )
        self.global_feature_extractor = _GlobalFeatures(
            global_in_channels,
            global_block_channels,
            global_block_strides,
            global_out_channels,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.feature_fusion = _Fusion(
            higher_in_channels,
            lower_in_channels,
            fusion_out_channels,
            align_corners=align_corners,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the maps at ``out_indices`` of (stem, global, fusion)."""
        high = self.learning_to_downsample(x)
        low = self.global_feature_extractor(high)
        maps = (high, low, self.feature_fusion(high, low))
        return tuple(maps[i] for i in self.out_indices)
