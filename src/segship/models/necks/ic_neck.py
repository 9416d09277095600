"""ICNet's neck: joins the maps of three image sizes, from the smallest up.

Source: ICNet (arXiv:1704.08545); upstream ``mmseg/models/necks/ic_neck.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.registry import necks
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["ICNeck"]

_BN: Cfg = {"type": "BN"}


class _CascadeFusion(nn.Module):
    """The smaller map, enlarged and filtered, added to the larger one."""

    def __init__(
        self,
        low: int,
        high: int,
        out_channels: int,
        *,
        align_corners: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg | None,
        act_cfg: Cfg | None,
    ) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv_low = ConvModule(
            low, out_channels, 3, padding=2, dilation=2, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )
        self.conv_high = ConvModule(high, out_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """(N, low, h, w) and (N, high, H, W) -> the sum and the filtered smaller map, both (N, out_channels, H, W)."""
        low = self.conv_low(resize(low, high.shape[2:], align_corners=self.align_corners))
        return (low + self.conv_high(high)).relu(), low


@necks.register
class ICNeck(nn.Module):
    """Cascade feature fusion.

    Args:
        in_channels: Channels of the maps of the full, half and quarter image.
        out_channels: Channels of each map out.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
        align_corners: How maps are resized.

    Raises:
        ConfigError: There are not three ``in_channels``.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 256, 256),
        out_channels: int = 128,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = _BN,
        act_cfg: Cfg | None = RELU,
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        if len(in_channels) != 3:
            raise ConfigError(f"ICNeck joins three maps; in_channels has {len(in_channels)}")

        def fusion(low: int, high: int) -> _CascadeFusion:
            return _CascadeFusion(
                low,
                high,
                out_channels,
                align_corners=align_corners,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg=act_cfg,
            )

        full, half, quarter = in_channels
        self.cff_24 = fusion(quarter, half)
        self.cff_12 = fusion(out_channels, full)

    def forward(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Maps of the full, half and quarter image -> two for auxiliary heads, and the joined one at the full size."""
        full, half, quarter = features
        joined, aux24 = self.cff_24(quarter, half)
        joined, aux12 = self.cff_12(joined, full)
        return aux24, aux12, joined
