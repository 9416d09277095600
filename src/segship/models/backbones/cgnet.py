"""CGNet: blocks that see a point, its surroundings and the whole image.

Source: CGNet (arXiv:1811.08201); upstream ``mmseg/models/backbones/cgnet.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import Cfg, ConvModule, build_conv, build_norm
from segship.models.registry import backbones
from segship.networks.resample import adaptive_avg_pool2d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["CGNet"]

_BN: Cfg = {"type": "BN"}
_PRELU: Cfg = {"type": "PReLU"}


def _sized(act_cfg: Cfg, channels: int) -> Cfg:
    """``act_cfg`` with a slope for each channel where it is a PReLU."""
    return {**act_cfg, "num_parameters": channels} if act_cfg["type"] == "PReLU" else act_cfg


def _norm_prelu(norm_cfg: Cfg, channels: int) -> nn.Sequential:
    return nn.Sequential(build_norm(norm_cfg, channels)[1], nn.PReLU(channels))


class _GlobalContext(nn.Module):
    """Scales each channel by a gate computed from all channels' means."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        hidden = channels // reduction
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        gate = self.fc(adaptive_avg_pool2d(x, 1).flatten(1))
        return x * gate[:, :, None, None]


class _ContextGuidedBlock(nn.Module):
    """Local and dilated depthwise filters side by side, gated by global context.

    The block that halves the map works at full width and narrows at its end; the others work at half width, so that
    the two filters together give ``out_channels``, and have a shortcut.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        dilation: int,
        reduction: int,
        downsample: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        super().__init__()
        width = out_channels if downsample else out_channels // 2
        self.conv1x1 = ConvModule(
            in_channels,
            width,
            3 if downsample else 1,
            stride=2 if downsample else 1,
            padding=1 if downsample else 0,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=_sized(act_cfg, width),
        )

        def depthwise(spread: int) -> nn.Conv2d:
            return build_conv(
                conv_cfg, width, width, kernel_size=3, padding=spread, dilation=spread, groups=width, bias=False
            )

        self.f_loc = depthwise(1)
        self.f_sur = depthwise(dilation)
        self.bn = build_norm(norm_cfg, 2 * width)[1]
        self.activate = nn.PReLU(2 * width)
        self.bottleneck = (
            build_conv(conv_cfg, 2 * width, out_channels, kernel_size=1, bias=False) if downsample else None
        )
        self.f_glo = _GlobalContext(out_channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W), or half the size rounded up."""
        y = self.conv1x1(x)
        y = self.activate(self.bn(torch.cat([self.f_loc(y), self.f_sur(y)], dim=1)))
        if self.bottleneck is not None:
            return self.f_glo(self.bottleneck(y))
        return x + self.f_glo(y)


@backbones.register
class CGNet(nn.Module):
    """CGNet; its maps are at 1/2, 1/4 and 1/8.

    Args:
        in_channels: Channels of the image.
        num_channels: Channels of the stem and the two stages.
        num_blocks: Blocks of the two stages.
        dilations: Dilation of the surrounding filter in each stage.
        reductions: Reduction of the gate's hidden layer in each stage.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_channels: Sequence[int] = (32, 64, 128),
        num_blocks: Sequence[int] = (3, 21),
        dilations: Sequence[int] = (2, 4),
        reductions: Sequence[int] = (8, 16),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _PRELU,
    ) -> None:
        super().__init__()
        stem, first, second = num_channels

        def conv(width: int, stride: int) -> ConvModule:
            return ConvModule(
                width,
                stem,
                3,
                stride=stride,
                padding=1,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=_sized(act_cfg, stem),
            )

        def level(before: int, after: int, stage: int) -> nn.ModuleList:
            return nn.ModuleList(
                [
                    _ContextGuidedBlock(
                        after if i else before,
                        after,
                        dilation=dilations[stage],
                        reduction=reductions[stage],
                        downsample=i == 0,
                        conv_cfg=conv_cfg,
                        norm_cfg=norm_cfg,
                        act_cfg=act_cfg,
                    )
                    for i in range(num_blocks[stage])
                ]
            )

        self.stem = nn.ModuleList([conv(in_channels, 2), conv(stem, 1), conv(stem, 1)])
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)
        self.norm_prelu_0 = _norm_prelu(norm_cfg, stem + in_channels)
        self.level1 = level(stem + in_channels, first, 0)
        self.norm_prelu_1 = _norm_prelu(norm_cfg, 2 * first + in_channels)
        self.level2 = level(2 * first + in_channels, second, 1)
        self.norm_prelu_2 = _norm_prelu(norm_cfg, 2 * second)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the maps after the stem and each stage."""
        half = self.pool(x)
        quarter = self.pool(half)
        for layer in self.stem:
            x = layer(x)
        stem = self.norm_prelu_0(torch.cat([x, half], dim=1))
        down, deep = _run(self.level1, stem)
        first = self.norm_prelu_1(torch.cat([deep, down, quarter], dim=1))
        down, deep = _run(self.level2, first)
        return stem, first, self.norm_prelu_2(torch.cat([down, deep], dim=1))


def _run(blocks: nn.ModuleList, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the first block gives, and the last."""
    first = x = blocks[0](x)
    for block in list(blocks)[1:]:
        x = block(x)
    return first, x
