"""BiSeNetV2: a wide shallow branch for detail, a narrow deep one for meaning, each of which gates the other.

Source: BiSeNetV2 (arXiv:2004.02147); upstream ``mmseg/models/backbones/bisenetv2.py`` (Apache-2.0).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule, DepthwiseSeparableConvModule, build_norm
from segship.models.registry import backbones
from segship.networks.resample import AdaptiveAvgPool2d, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["BiSeNetV2"]

_BN: Cfg = {"type": "BN"}


def _conv(
    before: int, after: int, kernel: int = 3, *, stride: int = 1, groups: int = 1, act: Cfg | None = RELU
) -> ConvModule:
    return ConvModule(
        before, after, kernel, stride=stride, padding=kernel // 2, groups=groups, norm_cfg=_BN, act_cfg=act
    )


class _Detail(nn.Module):
    """Stages of plain 3x3 convolutions, each of which halves the map."""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        stages = []
        for i, (before, after) in enumerate(pairwise([in_channels, *widths])):
            rest = [_conv(after, after) for _ in range(1 if i == 0 else 2)]
            stages.append(nn.Sequential(_conv(before, after, stride=2), *rest))
        self.detail_branch = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, widths[-1], H / 8, W / 8) with three stages."""
        for stage in self.detail_branch:
            x = stage(x)
        return x


class _Stem(nn.Module):
    """Convolutions and a max pool side by side, down to a quarter."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv_first = _conv(in_channels, channels, stride=2)
        self.convs = nn.Sequential(_conv(channels, channels // 2, 1), _conv(channels // 2, channels, stride=2))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.fuse_last = _conv(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / 4, W / 4)."""
        x = self.conv_first(x)
        return self.fuse_last(torch.cat([self.convs(x), self.pool(x)], dim=1))


class _GatherExpand(nn.Module):
    """Convolution, depthwise widening, linear narrowing; the form that halves the map filters its shortcut too."""

    def __init__(self, in_channels: int, out_channels: int, ratio: int, stride: int) -> None:
        super().__init__()
        width = in_channels * ratio
        self.conv1 = _conv(in_channels, in_channels)
        self.shortcut: nn.Module | None = None
        if stride == 1:
            self.dwconv = nn.Sequential(_conv(in_channels, width, groups=in_channels))
        else:
            self.dwconv = nn.Sequential(
                _conv(in_channels, width, stride=stride, groups=in_channels, act=None),
                _conv(width, width, groups=width),
            )
            self.shortcut = nn.Sequential(
                DepthwiseSeparableConvModule(
                    in_channels, out_channels, 3, stride=stride, padding=1, norm_cfg=_BN, act_cfg=None
                )
            )
        self.conv2 = nn.Sequential(_conv(width, out_channels, 1, act=None))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        y = self.conv2(self.dwconv(self.conv1(x)))
        return (y + (x if self.shortcut is None else self.shortcut(x))).relu()


class _ContextEmbedding(nn.Module):
    """Adds the map's mean, filtered, to every point."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gap = nn.Sequential(AdaptiveAvgPool2d(1), build_norm(_BN, channels)[1])
        self.conv_gap = _conv(channels, channels, 1)
        self.conv_last = _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.conv_last(x + self.conv_gap(self.gap(x)))


class _Semantic(nn.Module):
    """The stem, stages of gather-and-expand layers, and the context embedding."""

    def __init__(self, in_channels: int, widths: Sequence[int], ratio: int) -> None:
        super().__init__()
        self.add_module("stage1", _Stem(in_channels, widths[0]))
        self.stage_names = ["stage1"]
        for i, (before, after) in enumerate(pairwise(widths), start=2):
            rest = [_GatherExpand(after, after, ratio, 1) for _ in range(3 if i == len(widths) else 1)]
            self.add_module(f"stage{i}", nn.Sequential(_GatherExpand(before, after, ratio, 2), *rest))
            self.stage_names.append(f"stage{i}")
        self.stage_names.append(f"stage{len(widths)}_CEBlock")
        self.add_module(self.stage_names[-1], _ContextEmbedding(widths[-1]))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W) -> the maps of all stages, the last two of the same size."""
        maps = []
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return maps


class _Aggregation(nn.Module):
    """Each branch's map, gated by the other's at the same size; the two products added at the larger size."""

    def __init__(self, channels: int, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners

        def separable() -> nn.Sequential:
            conv = DepthwiseSeparableConvModule(
                channels, channels, 3, padding=1, act_cfg=None, dw_norm_cfg=_BN, pw_norm_cfg=None
            )
            return nn.Sequential(conv)

        self.detail_dwconv = separable()
        self.detail_down = nn.Sequential(
            _conv(channels, channels, stride=2, act=None), nn.AvgPool2d(3, stride=2, padding=1)
        )
        self.semantic_conv = nn.Sequential(_conv(channels, channels, act=None))
        self.semantic_dwconv = separable()
        self.conv = _conv(channels, channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, H / 4, W / 4) -> (N, C, H, W)."""
        size = detail.shape[2:]
        gate = resize(self.semantic_conv(semantic), size, align_corners=self.align_corners).sigmoid()
        deep = self.detail_down(detail) * self.semantic_dwconv(semantic).sigmoid()
        fused = self.detail_dwconv(detail) * gate + resize(deep, size, align_corners=self.align_corners)
        return self.conv(fused)


@backbones.register
class BiSeNetV2(nn.Module):
    """BiSeNetV2; its maps are the fusion's (1/8) and the semantic stages' (1/4, 1/8, 1/16, 1/32).

    Args:
        in_channels: Channels of the image.
        detail_channels: Channels of each stage of the detail branch.
        semantic_channels: Channels of each stage of the semantic branch.
        semantic_expansion_ratio: Widening in its layers.
        bga_channels: Channels of the fusion; must equal the last of both branches.
        out_indices: Which maps are returned: 0 the fusion's, 1 and on the semantic stages'.
        align_corners: How maps are resized.
        conv_cfg, norm_cfg, act_cfg: Of no effect, as upstream: plain convolutions, batch normalisation and ReLU.
    """

    def __init__(
        self,
        in_channels: int = 3,
        detail_channels: Sequence[int] = (64, 64, 128),
        semantic_channels: Sequence[int] = (16, 32, 64, 128),
        semantic_expansion_ratio: int = 6,
        bga_channels: int = 128,
        out_indices: Sequence[int] = (0, 1, 2, 3, 4),
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        self.out_indices = tuple(out_indices)
        self.detail = _Detail(in_channels, detail_channels)
        self.semantic = _Semantic(in_channels, semantic_channels, semantic_expansion_ratio)
        self.bga = _Aggregation(bga_channels, align_corners=align_corners)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the maps at ``out_indices`` of (fusion, semantic stages)."""
        *stages, last = self.semantic(x)
        maps = [self.bga(self.detail(x), last), *stages]
        return tuple(maps[i] for i in self.out_indices)
