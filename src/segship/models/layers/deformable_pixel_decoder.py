"""Mask2Former's pixel decoder: deformable attention among the coarser maps, a feature pyramid for the finer ones.

Source: Masked-attention Mask Transformer (arXiv:2112.01527); names from mmdet
``models/layers/msdeformattn_pixel_decoder.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.deformable_attention import DeformableEncoder, Levels
from segship.models.layers.nested import build_nested
from segship.models.layers.pixel_decoder import GROUP_NORM, SINE, TopDown
from segship.models.layers.sine_position import SinePositionalEncoding
from segship.models.layers.tokens import to_map, to_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features

__all__ = ["MSDeformAttnPixelDecoder"]


class MSDeformAttnPixelDecoder(TopDown):
    """A deformable encoder over the coarsest maps, coarsest first, then a feature pyramid down to the finest.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        feat_channels: Width of the tokens and of the pyramid.
        out_channels: Channels of the map for the masks.
        encoder: Keywords of `DeformableEncoder`; its number of levels says how many maps it takes.
        num_outs: How many maps the memory needs; upstream returns no more, here it is all levels.
        positional_encoding: Keywords of `SinePositionalEncoding`.
        norm_cfg, act_cfg: Of the convolutions.
        strides: Without effect: cells' places are relative to the maps.

    Raises:
        ConfigError: The encoder has more levels than there are maps, or fewer than the memory needs.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        *,
        encoder: Cfg,
        num_outs: int = 3,
        positional_encoding: Cfg = SINE,
        norm_cfg: Cfg | None = GROUP_NORM,
        act_cfg: Cfg | None = RELU,
        strides: Sequence[int] | None = None,
    ) -> None:
        transformer = build_nested(DeformableEncoder, encoder)
        levels = transformer.num_levels
        if not num_outs <= levels <= len(in_channels):
            raise ConfigError(f"the pixel decoder's encoder has {levels} levels; {num_outs} to {len(in_channels)} fit")
        finer, coarser = list(in_channels[:-levels]), list(in_channels[-levels:])
        # Upstream stores the pyramid's weights coarsest map first and applies them finest map first.
        super().__init__(finer[::-1], feat_channels, mode="bilinear", norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.num_inputs = len(in_channels)
        projections = [
            ConvModule(width, feat_channels, 1, bias=True, norm_cfg=norm_cfg, act_cfg=None) for width in coarser[::-1]
        ]
        self.input_convs = nn.ModuleList(projections)
        self.encoder = transformer
        self.level_encoding = nn.Embedding(levels, feat_channels)
        self.positional_encoding = build_nested(SinePositionalEncoding, positional_encoding)
        self.mask_feature = nn.Conv2d(feat_channels, out_channels, 1)

    def forward(self, features: Features) -> tuple[Tensor, list[Tensor]]:
        """Maps, finest first -> the map for the masks (N, out_channels, H, W) and the memory, coarsest map first."""
        coarsest_first = features[: self.num_inputs][::-1]
        maps = [project(x) for project, x in zip(self.input_convs, coarsest_first, strict=False)]
        sizes = [(x.shape[2], x.shape[3]) for x in maps]
        positions = [
            self.positional_encoding(size, maps[0]) + self.level_encoding.weight[level]
            for level, size in enumerate(sizes)
        ]
        levels = Levels.of(sizes, maps[0])
        tokens = torch.cat([to_tokens(x) for x in maps], dim=1)
        tokens = self.encoder(tokens, torch.cat(positions, dim=1), levels)
        memory = [to_map(x, size) for x, size in zip(levels.split(tokens, dim=1), sizes, strict=True)]
        return self.mask_feature(self.descend(memory[-1], features)), memory
