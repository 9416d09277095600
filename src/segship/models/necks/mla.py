"""Multi-level feature aggregation, the neck of SETR-MLA.

Source: Rethinking Semantic Segmentation with Transformers (arXiv:2012.15840); upstream
``mmseg/models/necks/mla_neck.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.conv import Cfg, ConvModule, build_norm
from segship.models.layers.tokens import norm_map
from segship.models.registry import necks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["MLANeck"]

_NORM: Cfg = {"type": "LN", "eps": 1e-6}


class _Aggregation(nn.Module):
    """Project each map, add from the deepest to the shallowest, then a convolution for each sum."""

    def __init__(
        self, in_channels: Sequence[int], out_channels: int, norm_cfg: Cfg | None, act_cfg: Cfg | None
    ) -> None:
        super().__init__()

        def conv(width: int, kernel: int) -> ConvModule:
            return ConvModule(width, out_channels, kernel, padding=kernel // 2, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.channel_proj = nn.ModuleList([conv(width, 1) for width in in_channels])
        self.feat_extract = nn.ModuleList([conv(out_channels, 3) for _ in in_channels])

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Maps, shallowest first -> as many maps, the deepest alone first, the sum of all last."""
        projected = [conv(x) for conv, x in zip(self.channel_proj, features, strict=True)]
        sums = itertools.accumulate(reversed(projected), operator.add)
        return tuple(conv(x) for conv, x in zip(self.feat_extract, sums, strict=True))


@necks.register
class MLANeck(nn.Module):
    """Normalise the maps of a plain transformer and aggregate them.

    Args:
        in_channels: Channels of each map.
        out_channels: Channels of each output.
        norm_layer: Normalisation of the maps over their channels.
        norm_cfg, act_cfg: Of the convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        *,
        norm_layer: Cfg = _NORM,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
    ) -> None:
        super().__init__()
        self.norm = nn.ModuleList([build_norm(norm_layer, width)[1] for width in in_channels])
        self.mla = _Aggregation(in_channels, out_channels, norm_cfg, act_cfg)

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Maps (N, in_channels[i], h, w), all of one size -> as many maps (N, out_channels, h, w)."""
        maps = [norm_map(norm, x) for norm, x in zip(self.norm, features, strict=True)]
        return self.mla(maps)
