"""Feature pyramid: every map reduced to the same width, each with all deeper ones added to it.

Source: FPN (arXiv:1612.03144); upstream ``mmseg/models/necks/fpn.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import Cfg, ConvModule
from segship.models.registry import necks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["FPN"]

_NEAREST: Cfg = {"mode": "nearest"}
_SOURCES = ("on_input", "on_lateral", "on_output")


def _extra_source(add_extra_convs: bool | str, *, on_inputs: bool) -> str | None:
    """What the extra levels start from, or None if they are made by pooling."""
    if add_extra_convs is True:
        return "on_input" if on_inputs else "on_output"
    if not add_extra_convs:
        return None
    if add_extra_convs not in _SOURCES:
        raise ConfigError(f"add_extra_convs is a bool or one of {', '.join(_SOURCES)}, not {add_extra_convs!r}")
    return add_extra_convs


@necks.register
class FPN(nn.Module):
    """Feature pyramid network.

    Args:
        in_channels: Channels of each map.
        out_channels: Channels of each level.
        num_outs: Number of levels returned; more than there are maps means extra, smaller levels.
        start_level, end_level: First map used, and the one after the last; -1: up to the last map.
        add_extra_convs: Whether convolutions make the extra levels, not pooling; a string says from what:
            ``"on_input"``, ``"on_lateral"``, ``"on_output"``.
        extra_convs_on_inputs: Whether True above means ``"on_input"`` instead of ``"on_output"``.
        relu_before_extra_convs: Whether a ReLU stands before each extra convolution but the first.
        no_norm_on_lateral: Whether the first convolutions have no normalisation.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
        upsample_cfg: ``mode`` and ``align_corners`` of the resizing; with ``scale_factor`` each level is enlarged by
            it, not to its neighbour's size.

    Raises:
        ConfigError: ``num_outs`` does not fit the levels, or ``add_extra_convs`` is unknown.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        extra_convs_on_inputs: bool = False,
        relu_before_extra_convs: bool = False,
        no_norm_on_lateral: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        upsample_cfg: Cfg = _NEAREST,
    ) -> None:
        super().__init__()
        self.start = start_level
        self.end = len(in_channels) if end_level == -1 else end_level
        used = list(in_channels[self.start : self.end])
        self.extra_levels = num_outs - len(used)
        if self.extra_levels < 0 or (end_level != -1 and self.extra_levels > 0):
            raise ConfigError(f"num_outs is {num_outs}; maps {self.start} to {self.end - 1} make {len(used)} levels")
        self.source = _extra_source(add_extra_convs, on_inputs=extra_convs_on_inputs)
        self.relu_before_extra_convs = relu_before_extra_convs
        self.upsample: dict[str, Any] = dict(upsample_cfg)

        def conv(width: int, kernel: int, norm: Cfg | None, stride: int = 1) -> ConvModule:
            return ConvModule(
                width,
                out_channels,
                kernel,
                stride=stride,
                padding=kernel // 2,
                conv_cfg=conv_cfg,
                norm_cfg=norm,
                act_cfg=act_cfg,
            )

        self.lateral_convs = nn.ModuleList([conv(width, 1, None if no_norm_on_lateral else norm_cfg) for width in used])
        self.fpn_convs = nn.ModuleList([conv(out_channels, 3, norm_cfg) for _ in used])
        for i in range(self.extra_levels if self.source else 0):
            width = used[-1] if i == 0 and self.source == "on_input" else out_channels
            self.fpn_convs.append(conv(width, 3, norm_cfg, stride=2))

    def _enlarge(self, x: Tensor, size: Sequence[int]) -> Tensor:
        if "scale_factor" in self.upsample:
            return F.interpolate(x, **self.upsample)
        return F.interpolate(x, size=list(size), **self.upsample)

    def _laterals(self, maps: Features) -> list[Tensor]:
        levels: list[Tensor] = []
        for conv, x in zip(reversed(self.lateral_convs), reversed(maps), strict=True):
            level = conv(x)
            if levels:
                level = level + self._enlarge(levels[-1], x.shape[2:])
            levels.append(level)
        return levels[::-1]

    def _extra(self, maps: Features, laterals: Features, levels: Features) -> list[Tensor]:
        """The levels beyond the maps."""
        x = levels[-1]
        if self.source is None:
            return [F.max_pool2d(x, 1, stride=2**i) for i in range(1, self.extra_levels + 1)]
        x = {"on_input": maps[-1], "on_lateral": laterals[-1], "on_output": x}[self.source]
        extra = []
        for i, conv in enumerate(self.fpn_convs[len(levels) :]):
            x = conv(x.relu() if i > 0 and self.relu_before_extra_convs else x)
            extra.append(x)
        return extra

    def forward(self, features: Features) -> tuple[Tensor, ...]:
        """Maps (N, in_channels[i], h_i, w_i) -> levels (N, out_channels, h_i, w_i), and the extra ones."""
        maps = features[self.start : self.end]
        laterals = self._laterals(maps)
        levels = [conv(x) for conv, x in zip(self.fpn_convs, laterals, strict=False)]
        return (*levels, *self._extra(maps, laterals, levels))
