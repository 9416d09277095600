"""SETR's heads: naive and progressive upsampling, and multi-level feature aggregation.

Source: Rethinking Semantic Segmentation with Transformers (arXiv:2012.15840); upstream
``mmseg/models/decode_heads/setr_up_head.py`` and ``setr_mla_head.py`` (Apache-2.0).

The classifier is a 1x1 convolution and the enlargement before it is linear, so the two change places here: the same
logits, with a sixteenth of the products, and class planes to enlarge instead of features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.tokens import norm_map
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["SETRMLAHead", "SETRUPHead"]

_NORM: Cfg = {"type": "LN", "eps": 1e-6}


class _Upsample(nn.Module):
    """Bilinear enlargement by a whole number."""

    def __init__(self, scale: int, *, align_corners: bool) -> None:
        super().__init__()
        self.scale = scale
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H * scale, W * scale)."""
        size = (x.shape[2] * self.scale, x.shape[3] * self.scale)
        return resize(x, size, align_corners=self.align_corners)


@heads.register
class SETRUPHead(DecodeHead):
    """A normalisation, then convolutions that are each followed by an enlargement.

    Args:
        norm_layer: Normalisation of the map over its channels.
        num_convs: Number of convolutions.
        up_scale: Enlargement after each.
        kernel_size: Of the convolutions, 1 or 3.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
        norm_cfg, act_cfg: Of the convolutions.

    Raises:
        ConfigError: ``kernel_size`` is neither 1 nor 3.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        num_classes: int,
        norm_layer: Cfg = _NORM,
        num_convs: int = 1,
        up_scale: int = 4,
        kernel_size: int = 3,
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
        if kernel_size not in {1, 3}:
            raise ConfigError(f"kernel_size of SETRUPHead must be 1 or 3, not {kernel_size}")
        self.norm = build_norm(norm_layer, self.width)[1]
        widths = [self.width] + [channels] * (num_convs - 1)
        steps = [
            nn.Sequential(
                ConvModule(
                    width, channels, kernel_size, padding=(kernel_size - 1) // 2, norm_cfg=norm_cfg, act_cfg=act_cfg
                ),
                _Upsample(up_scale, align_corners=align_corners),
            )
            for width in widths[:num_convs]
        ]
        self.up_convs = nn.ModuleList(steps)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h * up_scale^num_convs, w * up_scale^num_convs)."""
        x = norm_map(self.norm, self.select(features))
        if not len(self.up_convs):
            return self.classify(x)
        for step in self.up_convs[:-1]:
            x = step(x)
        conv, enlarge = self.up_convs[-1].children()
        return enlarge(self.classify(conv(x)))


@heads.register
class SETRMLAHead(DecodeHead):
    """Two convolutions and an enlargement for each map, then all maps together are classified.

    Args:
        mla_channels: Width after a map's convolutions.
        up_scale: Enlargement.
        in_channels: Channels of each map.
        channels: ``mla_channels`` times the number of maps.
        num_classes, out_channels, threshold, in_index, align_corners: As `DecodeHead`.
        norm_cfg, act_cfg: Of the convolutions.

    Raises:
        ConfigError: ``channels`` does not fit.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_classes: int,
        mla_channels: int = 128,
        up_scale: int = 4,
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
        joined = mla_channels * len(in_channels)
        if channels != joined:
            raise ConfigError(f"channels must be mla_channels x number of maps = {joined}, not {channels}")

        def conv(width: int) -> ConvModule:
            return ConvModule(width, mla_channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.up_convs = nn.ModuleList([nn.Sequential(conv(width), conv(mla_channels)) for width in in_channels])
        self.enlarge = _Upsample(up_scale, align_corners=align_corners)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h * up_scale, w * up_scale)."""
        maps = zip(self.up_convs, self.select_many(features), strict=True)
        x = torch.cat([step(x) for step, x in maps], dim=1)
        return self.enlarge(self.classify(x))
