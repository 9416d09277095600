"""Pyramid pooling: the map's averages over several grids, each resized back to the map.

Source: PSPNet (arXiv:1612.01105); upstream ``PPM`` in ``mmseg/models/decode_heads/psp_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.networks.resample import AdaptiveAvgPool2d, resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["PyramidPooling"]


class PyramidPooling(nn.ModuleList):
    """One branch for each grid: pool, 1x1 convolution, resize (upstream ``PPM``).

    Args:
        pool_scales: Bins along each side, one number for each branch.
        in_channels: Channels of the map.
        channels: Channels of each branch.
        align_corners: How branches are resized.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        pool_scales: Sequence[int],
        in_channels: int,
        channels: int,
        *,
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        def branch(bins: int) -> nn.Sequential:
            conv = ConvModule(in_channels, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
            return nn.Sequential(AdaptiveAvgPool2d(bins), conv)

        super().__init__([branch(bins) for bins in pool_scales])
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, in_channels, H, W) -> one (N, channels, H, W) for each grid."""
        return [resize(branch(x), x.shape[2:], align_corners=self.align_corners) for branch in self]
