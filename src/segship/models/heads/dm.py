"""Dynamic multi-scale filters head.

Source: Dynamic Multi-Scale Filters for Semantic Segmentation (He et al., ICCV 2019); upstream
``mmseg/models/decode_heads/dm_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from segship.models.layers.activation import build_activation
from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import as_map
from segship.models.registry import heads
from segship.networks.resample import adaptive_avg_pool2d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["DMHead", "DynamicFilter", "filter_depthwise"]


def filter_depthwise(x: Tensor, filters: Tensor) -> Tensor:
    """Convolve every channel of every image with its own filter, keeping the size.

    A grouped convolution could say this only for a batch size fixed in the graph (images as groups, filters as
    weights). Here every filter row is one matrix product over shifted columns, and shifted rows are added up: standard
    operators, the same sum.

    Args:
        x: (N, C, H, W).
        filters: (N, C, k, k); for even k the centre is the cell after the middle.

    Returns:
        (N, C, H, W).
    """
    size = filters.shape[2]
    height, width = x.shape[2:]
    before, after = size // 2, (size - 1) // 2
    padded = F.pad(x, (before, after, before, after))
    columns = torch.stack([padded.narrow(3, i, width).flatten(2) for i in range(size)], dim=2)
    rows = filters @ columns  # (N, C, k, (H + k - 1) * W)
    # A row further down is `width` positions further on.
    total = rows[:, :, 0].narrow(2, 0, height * width)
    for i in range(1, size):
        total = total + rows[:, :, i].narrow(2, i * width, height * width)
    return as_map(total, x)


class DynamicFilter(nn.Module):
    """Filters a map with filters made from the map itself (upstream ``DCM``).

    Args:
        filter_size: Side of the filters.
        fusion: Whether one more convolution follows.
        in_channels: Channels of the map.
        channels: Channels of the result.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        filter_size: int,
        in_channels: int,
        channels: int,
        *,
        fusion: bool,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg = RELU,
    ) -> None:
        super().__init__()

        def conv(width: int) -> ConvModule:
            return ConvModule(width, channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.filter_size = filter_size
        self.filter_gen_conv = nn.Conv2d(in_channels, channels, 1)
        self.input_redu_conv = conv(in_channels)
        self.norm = None if norm_cfg is None else build_norm(norm_cfg, channels)[1]
        self.activate = build_activation(act_cfg)
        self.fusion_conv = conv(channels) if fusion else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        filters = self.filter_gen_conv(adaptive_avg_pool2d(x, self.filter_size))
        y = filter_depthwise(self.input_redu_conv(x), filters)
        y = self.activate(y if self.norm is None else self.norm(y))
        return y if self.fusion_conv is None else self.fusion_conv(y)


@heads.register
class DMHead(DecodeHead):
    """The map and itself filtered at several scales, one convolution, the classifier.

    Args:
        filter_sizes: Side of the filters, one number for each scale.
        fusion: Whether a convolution follows each filter.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        filter_sizes: Sequence[int] = (1, 3, 5, 7),
        fusion: bool = False,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg = RELU,
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
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.dcm_modules = nn.ModuleList(
            [DynamicFilter(size, self.width, channels, fusion=fusion, **cfgs) for size in filter_sizes]
        )
        self.bottleneck = ConvModule(self.width + len(filter_sizes) * channels, channels, 3, padding=1, **cfgs)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        maps = [x, *[module(x) for module in self.dcm_modules]]
        return self.classify(self.bottleneck(torch.cat(maps, dim=1)))
