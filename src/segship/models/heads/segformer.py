"""SegFormer's head: 1x1 convolutions of all stages, joined.

Source: SegFormer (arXiv:2105.15203); upstream ``mmseg/models/decode_heads/segformer_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn
from torch.nn import functional as F

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["SegformerHead"]


@heads.register
class SegformerHead(DecodeHead):
    """Every map to the same width by a 1x1 convolution, resized to the first one's size, fused, classified.

    Args:
        in_channels: Channels of each map.
        channels: Width after the 1x1 convolutions and after the fusion.
        interpolate_mode: How maps are resized.
        num_classes, out_channels, threshold, in_index, align_corners: As `DecodeHead`.
        norm_cfg, act_cfg: Of the convolutions; the fusion always ends in a ReLU.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        interpolate_mode: Literal["bilinear", "bicubic"] = "bilinear",
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: Sequence[int] = (0, 1, 2, 3),
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
            input_transform="multiple_select",
            align_corners=align_corners,
        )
        self.interpolate_mode = interpolate_mode
        self.convs = nn.ModuleList(
            [ConvModule(width, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg) for width in in_channels]
        )
        self.fusion_conv = ConvModule(channels * len(in_channels), channels, 1, norm_cfg=norm_cfg)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w) at the first map's size.

        The fusion is linear and mixes no pixels, so it commutes with the resize: each map is fused at its own size
        and the results are resized and added. The same sum as fusing the concatenated maps, at about a quarter of
        the multiplications.
        """
        maps = self.select_many(features)
        size = maps[0].shape[2:]
        weights = self.fusion_conv.conv.weight.chunk(len(maps), dim=1)
        y = F.conv2d(self.convs[0](maps[0]), weights[0], self.fusion_conv.conv.bias)
        for conv, x, weight in zip(self.convs[1:], maps[1:], weights[1:], strict=True):
            part = F.conv2d(conv(x), weight)
            y = y + resize(part, size, self.interpolate_mode, align_corners=self.align_corners)
        if self.fusion_conv.norm_name is not None:
            y = self.fusion_conv.get_submodule(self.fusion_conv.norm_name)(y)
        return self.classify(F.relu(y))
