"""Semantic FPN's head: each level brought up to the largest one in steps of two, then added.

Source: Panoptic Feature Pyramid Networks (arXiv:1901.02446); upstream ``mmseg/models/decode_heads/fpn_head.py``
(Apache-2.0).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.layers.upsample import Upsample
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["FPNHead"]


@heads.register
class FPNHead(DecodeHead):
    """Convolutions, each followed by an upsampling, until a level has the first one's stride; the sum is classified.

    Args:
        feature_strides: Stride of each map, powers of two; the first is the least.
        in_channels, in_index: Of the maps, one for each stride.
        channels, num_classes, out_channels, threshold, align_corners: As `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.

    Raises:
        ConfigError: There is not one stride for each map, or the first is not the least.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        in_index: Sequence[int],
        feature_strides: Sequence[int],
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
        if len(feature_strides) != len(in_channels) or min(feature_strides) != feature_strides[0]:
            raise ConfigError(
                f"feature_strides {tuple(feature_strides)} must name one stride for each of the {len(in_channels)} "
                "maps, the least first"
            )

        def level(width: int, stride: int) -> nn.Sequential:
            steps = int(math.log2(stride) - math.log2(feature_strides[0]))
            layers: list[nn.Module] = []
            for before in [width] + [channels] * (max(1, steps) - 1):
                conv = ConvModule(before, channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
                layers.append(conv)
                if stride != feature_strides[0]:
                    layers.append(Upsample(2, align_corners=align_corners))
            return nn.Sequential(*layers)

        self.scale_heads = nn.ModuleList(
            [level(width, stride) for width, stride in zip(in_channels, feature_strides, strict=True)]
        )

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w) of the first selected map's size."""
        levels = [head(x) for head, x in zip(self.scale_heads, self.select_many(features), strict=True)]
        total, *rest = levels
        for x in rest:
            total = total + resize(x, total.shape[2:], align_corners=self.align_corners)
        return self.classify(total)
