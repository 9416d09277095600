"""STDC: blocks whose convolutions grow narrower and are all concatenated, and the context path of BiSeNet on top.

Source: Rethinking BiSeNet (arXiv:2104.13188); upstream ``mmseg/models/backbones/stdc.py`` (Apache-2.0).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.attention_refinement import AttentionRefinement
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.parts import build_part
from segship.models.registry import backbones
from segship.networks.resample import AdaptiveAvgPool2d, adaptive_avg_pool2d, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["STDCContextPathNet", "STDCNet"]

_BN: Cfg = {"type": "BN"}
_STRIDES = {
    "STDCNet1": ((2, 1), (2, 1), (2, 1)),
    "STDCNet2": ((2, 1, 1, 1), (2, 1, 1, 1, 1), (2, 1, 1)),
}
"""Stride of each block of the three deep stages."""


def _halve(channels: int, norm_cfg: Cfg | None) -> ConvModule:
    """A depthwise convolution of stride 2."""
    return ConvModule(channels, channels, 3, stride=2, padding=1, groups=channels, norm_cfg=norm_cfg, act_cfg=None)


class _ShortTermDense(nn.Module):
    """Convolutions of 1/2, 1/4, … of the channels, concatenated; a subclass says how they are run."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, count: int, norm_cfg: Cfg | None, act_cfg: Cfg | None
    ) -> None:
        super().__init__()
        half = out_channels // 2
        # Upstream hands act_cfg to all but the first.
        convs = [ConvModule(in_channels, half, 1, norm_cfg=norm_cfg)]
        widths = [out_channels // 2 ** min(i + 1, count - 1) for i in range(count)]
        convs += [
            ConvModule(before, after, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            for before, after in pairwise(widths)
        ]
        self.layers = nn.ModuleList(convs)
        self.downsample = _halve(half, norm_cfg) if stride == 2 else None


class _Cat(_ShortTermDense):
    """The first convolution's map is pooled before it is concatenated, where the block halves."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, count: int, norm_cfg: Cfg | None, act_cfg: Cfg | None
    ) -> None:
        super().__init__(in_channels, out_channels, stride=stride, count=count, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.skip = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up."""
        first = x = self.layers[0](x)
        if self.downsample is not None:
            first, x = self.skip(x), self.downsample(x)
        maps = [first]
        for layer in list(self.layers)[1:]:
            x = layer(x)
            maps.append(x)
        return torch.cat(maps, dim=1)


class _Add(_ShortTermDense):
    """All maps concatenated, and the input added."""

    def __init__(
        self, in_channels: int, out_channels: int, *, stride: int, count: int, norm_cfg: Cfg | None, act_cfg: Cfg | None
    ) -> None:
        super().__init__(in_channels, out_channels, stride=stride, count=count, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.skip: nn.Module | None = None
        if self.downsample is not None:
            # Held twice, as upstream: its weights have a key under both names.
            self.layers[0] = nn.Sequential(self.layers[0], self.downsample)
            project = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
            self.skip = nn.Sequential(_halve(in_channels, norm_cfg), project)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up."""
        shortcut = x if self.skip is None else self.skip(x)
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return torch.cat(maps, dim=1) + shortcut


@backbones.register
class STDCNet(nn.Module):
    """STDCNet; its maps are those of the three deep stages, at 1/8, 1/16 and 1/32.

    Args:
        stdc_type: ``"STDCNet1"`` or ``"STDCNet2"``.
        in_channels: Channels of the image.
        channels: Channels of the five stages.
        bottleneck_type: ``"cat"`` or ``"add"``: whether a block adds its input.
        norm_cfg, act_cfg: As `ConvModule`.
        num_convs: Convolutions in each block, at least 2.
        with_final_conv: Whether a 1x1 convolution follows the last stage.

    Raises:
        ConfigError: A type is unknown, or a number is out of range.
    """

    def __init__(
        self,
        stdc_type: str,
        in_channels: int,
        channels: Sequence[int],
        bottleneck_type: Literal["cat", "add"],
        norm_cfg: Cfg | None,
        act_cfg: Cfg | None,
        num_convs: int = 4,
        with_final_conv: bool = False,
    ) -> None:
        super().__init__()
        if stdc_type not in _STRIDES or bottleneck_type not in {"cat", "add"}:
            raise ConfigError(
                f"stdc_type is {' or '.join(_STRIDES)}, bottleneck_type is cat or add; "
                f"not {stdc_type!r} and {bottleneck_type!r}"
            )
        if len(channels) != 5 or num_convs < 2:
            raise ConfigError(
                f"STDCNet needs five channels and num_convs of 2 or more, not {len(channels)} and {num_convs}"
            )
        block = _Cat if bottleneck_type == "cat" else _Add

        def stem(before: int, after: int) -> ConvModule:
            return ConvModule(before, after, 3, stride=2, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)

        def stage(before: int, after: int, strides: tuple[int, ...]) -> nn.Sequential:
            return nn.Sequential(
                *[
                    block(
                        after if i else before,
                        after,
                        stride=stride,
                        count=num_convs,
                        norm_cfg=norm_cfg,
                        act_cfg=act_cfg,
                    )
                    for i, stride in enumerate(strides)
                ]
            )

        deep = zip(pairwise(channels[1:]), _STRIDES[stdc_type], strict=True)
        self.stages = nn.ModuleList([stem(in_channels, channels[0]), stem(channels[0], channels[1])])
        self.stages.extend(stage(before, after, strides) for (before, after), strides in deep)
        self.final_conv = (
            ConvModule(channels[-1], max(1024, channels[-1]), 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            if with_final_conv
            else None
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the maps of the three deep stages."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        if self.final_conv is not None:
            maps[-1] = self.final_conv(maps[-1])
        return tuple(maps[2:])


class _Fusion(nn.Module):
    """Both paths side by side, convolved and gated; the gate has a narrow hidden layer."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale_factor: int = 4,
        norm_cfg: Cfg | None = _BN,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__()
        hidden = out_channels // scale_factor
        self.conv0 = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.attention = nn.Sequential(
            AdaptiveAvgPool2d(1),
            ConvModule(out_channels, hidden, 1, bias=False, act_cfg=act_cfg),
            ConvModule(hidden, out_channels, 1, bias=False, act_cfg=None),
            nn.Sigmoid(),
        )

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """(N, A, H, W) and (N, B, H, W) -> (N, out_channels, H, W)."""
        x = self.conv0(torch.cat([spatial, context], dim=1))
        return x * self.attention(x) + x


_FFM: Cfg = {"in_channels": 512, "out_channels": 256, "scale_factor": 4}


@backbones.register
class STDCContextPathNet(nn.Module):
    """STDCNet with BiSeNet's context path.

    Its maps are the backbone's (1/8), the context path's (1/16 and 1/8) and the fusion's (1/8).

    Args:
        backbone_cfg: The backbone: maps at 1/8, 1/16 and 1/32.
        last_in_channels: Channels of the backbone's last map and the one before.
        out_channels: Channels of the context path.
        ffm_cfg: Of the fusion: ``in_channels``, ``out_channels``, ``scale_factor``, ``norm_cfg``, ``act_cfg``.
        upsample_mode: How the context path enlarges: ``"nearest"``, ``"bilinear"`` or ``"bicubic"``.
        align_corners: The same; None with ``"nearest"``.
        norm_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        backbone_cfg: Cfg,
        last_in_channels: Sequence[int] = (1024, 512),
        out_channels: int = 128,
        ffm_cfg: Cfg = _FFM,
        upsample_mode: Literal["nearest", "bilinear", "bicubic"] = "nearest",
        align_corners: bool | None = None,
        norm_cfg: Cfg | None = _BN,
    ) -> None:
        super().__init__()
        self.backbone = build_part(backbones, backbone_cfg)
        self.arms = nn.ModuleList([AttentionRefinement(width, out_channels) for width in last_in_channels])
        self.convs = nn.ModuleList(
            [ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg) for _ in last_in_channels]
        )
        self.conv_avg = ConvModule(last_in_channels[0], out_channels, 1, norm_cfg=norm_cfg)
        self.ffm = _Fusion(**ffm_cfg)
        self.upsample_mode: Literal["nearest", "bilinear", "bicubic"] = upsample_mode
        self.align_corners = bool(align_corners)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the backbone's first map, those of the context path, the fusion's."""
        maps = self.backbone(x)
        # The mean stays 1x1: resizing a single point to any size gives a constant, which broadcasting adds as well.
        up = self.conv_avg(adaptive_avg_pool2d(maps[-1], 1))
        refined = []
        for i, (arm, conv) in enumerate(zip(self.arms, self.convs, strict=True), start=1):
            size = maps[-i - 1].shape[2:]
            up = conv(resize(arm(maps[-i]) + up, size, self.upsample_mode, align_corners=self.align_corners))
            refined.append(up)
        return (maps[0], *refined, self.ffm(maps[0], refined[1]))
