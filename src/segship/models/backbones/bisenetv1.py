"""BiSeNet (V1): a shallow path for space beside a classification backbone for context.

Source: BiSeNet (arXiv:1808.00897); upstream ``mmseg/models/backbones/bisenetv1.py`` (Apache-2.0).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.attention_refinement import AttentionRefinement
from segship.models.layers.conv import Cfg, ConvModule
from segship.models.parts import build_part
from segship.models.registry import backbones
from segship.networks.resample import AdaptiveAvgPool2d, adaptive_avg_pool2d, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["BiSeNetV1"]

_BN: Cfg = {"type": "BN"}


class _SpatialPath(nn.Module):
    """Three convolutions of stride 2 and a 1x1 one."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        settings = ((7, 2), (3, 2), (3, 2), (1, 1))
        for i, ((before, after), (kernel, stride)) in enumerate(zip(pairwise(widths), settings, strict=True), start=1):
            conv = ConvModule(before, after, kernel, stride=stride, padding=kernel // 2, norm_cfg=_BN)
            self.add_module(f"layer{i}", conv)

    def forward(self, x: Tensor) -> Tensor:
        """(N, widths[0], H, W) -> (N, widths[-1], H / 8, W / 8)."""
        for layer in self.children():
            x = layer(x)
        return x


class _ContextPath(nn.Module):
    """The backbone's two deepest maps, refined and brought up to 1/8."""

    def __init__(self, backbone: nn.Module, widths: Sequence[int]) -> None:
        super().__init__()
        width, middle, deep = widths
        self.backbone = backbone
        self.arm16 = AttentionRefinement(middle, width)
        self.arm32 = AttentionRefinement(deep, width)
        self.conv_head32 = ConvModule(width, width, 3, padding=1, norm_cfg=_BN)
        self.conv_head16 = ConvModule(width, width, 3, padding=1, norm_cfg=_BN)
        self.gap_conv = nn.Sequential(AdaptiveAvgPool2d(1), ConvModule(deep, width, 1, norm_cfg=_BN))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) -> two maps (N, widths[0], …), at 1/8 and 1/16."""
        _, eighth, middle, deep = self.backbone(x)
        up = resize(self.arm32(deep) + self.gap_conv(deep), middle.shape[2:], "nearest")
        context16 = self.conv_head32(up)
        up = resize(self.arm16(middle) + context16, eighth.shape[2:], "nearest")
        return self.conv_head16(up), context16


class _Fusion(nn.Module):
    """Both paths side by side, convolved and gated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(in_channels, out_channels, 1, norm_cfg=_BN)
        self.conv_atten = nn.Sequential(ConvModule(out_channels, out_channels, 1, norm_cfg=_BN), nn.Sigmoid())

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """(N, A, H, W) and (N, B, H, W) -> (N, out_channels, H, W)."""
        x = self.conv1(torch.cat([spatial, context], dim=1))
        return x * self.conv_atten(adaptive_avg_pool2d(x, 1)) + x


@backbones.register
class BiSeNetV1(nn.Module):
    """BiSeNet; its maps are the fusion's (1/8) and the context path's (1/8 and 1/16).

    Args:
        backbone_cfg: The context path's backbone: four maps, at 1/4 to 1/32.
        in_channels: Channels of the image.
        spatial_channels: Channels of the four layers of the spatial path.
        context_channels: Channels of the context path, then of the backbone's maps at 1/16 and 1/32. The second is
            also what the fusion takes, so it must equal the sum of both paths' channels, as upstream.
        out_indices: Which of the three maps are returned.
        align_corners: Of no effect, as upstream: the maps are resized to the nearest neighbour.
        out_channels: Channels of the fusion.
        conv_cfg, norm_cfg, act_cfg: Of no effect outside ``backbone_cfg``, as upstream: plain convolutions, batch
            normalisation and ReLU.

    Raises:
        ConfigError: There are not four ``spatial_channels`` and three ``context_channels``.
    """

    def __init__(
        self,
        backbone_cfg: Cfg,
        in_channels: int = 3,
        spatial_channels: Sequence[int] = (64, 64, 64, 128),
        context_channels: Sequence[int] = (128, 256, 512),
        out_indices: Sequence[int] = (0, 1, 2),
        align_corners: bool = False,
        out_channels: int = 256,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        if (len(spatial_channels), len(context_channels)) != (4, 3):
            raise ConfigError(
                "BiSeNetV1 needs four spatial_channels and three context_channels, "
                f"not {len(spatial_channels)} and {len(context_channels)}"
            )
        self.out_indices = tuple(out_indices)
        self.context_path = _ContextPath(build_part(backbones, backbone_cfg), context_channels)
        self.spatial_path = _SpatialPath([in_channels, *spatial_channels])
        self.ffm = _Fusion(context_channels[1], out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the maps at ``out_indices`` of (fusion, context at 1/8, context at 1/16)."""
        context8, context16 = self.context_path(x)
        maps = (self.ffm(self.spatial_path(x), context8), context8, context16)
        return tuple(maps[i] for i in self.out_indices)
