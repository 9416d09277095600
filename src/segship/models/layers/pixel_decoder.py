"""What mask-classification heads make of a backbone's maps: one fine map for the masks, and memory for the queries.

Source: MaskFormer (arXiv:2107.06278); names from mmdet ``models/layers/pixel_decoder.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.detr import DetrEncoder
from segship.models.layers.nested import build_nested
from segship.models.layers.sine_position import SinePositionalEncoding
from segship.models.layers.tokens import to_map, to_tokens
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["GROUP_NORM", "SINE", "PixelDecoder", "TopDown", "TransformerEncoderPixelDecoder"]

GROUP_NORM: Cfg = {"type": "GN", "num_groups": 32}
SINE: Cfg = {"num_feats": 128, "normalize": True}


class TopDown(nn.Module):
    """A feature pyramid's way down, from a coarse map to the finest.

    Args:
        in_channels: Channels of the maps that are added on the way, in the order of the weights.
        feat_channels: Channels of the pyramid.
        mode: How a coarser map is resized.
        norm_cfg, act_cfg: Of the convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        *,
        mode: Literal["bilinear", "nearest"],
        norm_cfg: Cfg | None,
        act_cfg: Cfg | None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.feat_channels = feat_channels
        self.norm_cfg, self.act_cfg = norm_cfg, act_cfg
        laterals = [ConvModule(width, feat_channels, 1, norm_cfg=norm_cfg, act_cfg=None) for width in in_channels]
        self.lateral_convs = nn.ModuleList(laterals)
        self.output_convs = nn.ModuleList([self.conv3x3(feat_channels) for _ in in_channels])

    def conv3x3(self, in_channels: int) -> ConvModule:
        """A convolution to the pyramid's width that keeps the size."""
        return ConvModule(in_channels, self.feat_channels, 3, padding=1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)

    def descend(self, y: Tensor, features: Features) -> Tensor:
        """Add the finer maps to a coarse one.

        Args:
            y: The coarse map (N, feat_channels, h, w).
            features: The backbone's maps, finest first; as many are used as there are lateral convolutions.

        Returns:
            (N, feat_channels, H, W) of the finest.
        """
        steps = zip(features, self.lateral_convs, self.output_convs, strict=False)
        for feature, lateral, output in reversed(list(steps)):
            x = lateral(feature)
            y = output(x + resize(y, x.shape[2:], mode=self.mode))
        return y


class PixelDecoder(TopDown):
    """A feature pyramid; the memory is the backbone's coarsest map as it is.

    Args:
        in_channels: Channels of the backbone's maps.
        feat_channels: Channels of the pyramid.
        out_channels: Channels of the map for the masks.
        norm_cfg, act_cfg: Of the convolutions.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        *,
        norm_cfg: Cfg | None = GROUP_NORM,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__(in_channels[:-1], feat_channels, mode="nearest", norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.last_feat_conv = self.conv3x3(in_channels[-1])
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 3, padding=1)

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        """Maps, finest first -> the map for the masks (N, out_channels, H, W) and the memory (N, C, h, w)."""
        y = self.descend(self.last_feat_conv(features[-1]), features)
        return self.mask_feature(y), features[-1]


class TransformerEncoderPixelDecoder(TopDown):
    """A feature pyramid on top of a transformer encoder, whose output is the memory.

    Args:
        in_channels, feat_channels, out_channels, norm_cfg, act_cfg: As `PixelDecoder`.
        encoder: Keywords of `DetrEncoder`.
        positional_encoding: Keywords of `SinePositionalEncoding`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        *,
        encoder: Cfg,
        positional_encoding: Cfg = SINE,
        norm_cfg: Cfg | None = GROUP_NORM,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        super().__init__(in_channels[:-1], feat_channels, mode="nearest", norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.encoder_in_proj = nn.Conv2d(in_channels[-1], feat_channels, 1)
        self.positional_encoding = build_nested(SinePositionalEncoding, positional_encoding)
        self.encoder = build_nested(DetrEncoder, encoder)
        self.encoder_out_proj = self.conv3x3(feat_channels)
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 3, padding=1)

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        """As `PixelDecoder`."""
        x = self.encoder_in_proj(features[-1])
        size = (x.shape[2], x.shape[3])
        memory = to_map(self.encoder(to_tokens(x), self.positional_encoding(size, x)), size)
        y = self.descend(self.encoder_out_proj(memory), features)
        return self.mask_feature(y), memory
