"""Context from average pools of growing windows, for maps of 1/64 the image: DAPPM and its parallel form PAPPM.

Source: DDRNet (arXiv:2101.06085) and PIDNet (arXiv:2206.02066); upstream ``mmseg/models/utils/ppm.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.networks.resample import AdaptiveAvgPool2d, resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DAPPM", "PAPPM"]

_BN: Cfg = {"type": "BN"}
_WINDOWS = ((5, 2), (9, 4), (17, 8))
"""Kernel and stride (and padding) of each pool between the map itself and its mean."""


def _conv(before: int, after: int, kernel: int = 1, groups: int = 1) -> ConvModule:
    return ConvModule(
        before,
        after,
        kernel,
        padding=kernel // 2,
        groups=groups,
        bias=False,
        norm_cfg=_BN,
        act_cfg=RELU,
        order=("norm", "act", "conv"),
    )


class _AggregationPooling(nn.Module):
    """What both forms share: five scales, a compression and a shortcut."""

    def __init__(self, in_channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__()
        pools: list[nn.Module] = [nn.AvgPool2d(kernel, stride, padding=stride) for kernel, stride in _WINDOWS]
        pools.append(AdaptiveAvgPool2d(1))
        self.scales = nn.ModuleList([_conv(in_channels, branch_channels)])
        self.scales.extend(nn.Sequential(pool, _conv(in_channels, branch_channels)) for pool in pools)
        self.compression = _conv(branch_channels * len(self.scales), out_channels)
        self.shortcut = _conv(in_channels, out_channels)

    def _pooled(self, x: Tensor) -> list[Tensor]:
        """The pooled scales at the map's size; the mean stays 1x1, adding it broadcasts."""
        *windows, mean = list(self.scales)[1:]
        return [*(resize(scale(x), x.shape[2:]) for scale in windows), mean(x)]


class DAPPM(_AggregationPooling):
    """Each scale is filtered together with the one before.

    Args:
        in_channels, branch_channels, out_channels: Channels of the map, of each scale and of the output.
    """

    def __init__(self, in_channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, branch_channels, out_channels)
        self.processes = nn.ModuleList(
            [_conv(branch_channels, branch_channels, 3) for _ in range(len(self.scales) - 1)]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        maps = [self.scales[0](x)]
        for pooled, process in zip(self._pooled(x), self.processes, strict=True):
            maps.append(process(pooled + maps[-1]))
        return self.compression(torch.cat(maps, dim=1)) + self.shortcut(x)


class PAPPM(_AggregationPooling):
    """All scales are filtered at once, by one grouped convolution.

    Args:
        in_channels, branch_channels, out_channels: Channels of the map, of each scale and of the output.
    """

    def __init__(self, in_channels: int, branch_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, branch_channels, out_channels)
        count = len(self.scales) - 1
        self.processes = _conv(branch_channels * count, branch_channels * count, 3, groups=count)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H, W)."""
        base = self.scales[0](x)
        processed = self.processes(torch.cat([pooled + base for pooled in self._pooled(x)], dim=1))
        return self.compression(torch.cat([base, processed], dim=1)) + self.shortcut(x)
