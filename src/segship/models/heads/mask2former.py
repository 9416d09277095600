"""Mask2Former's head.

Source: Masked-attention Mask Transformer for Universal Image Segmentation (arXiv:2112.01527); upstream
``mmseg/models/decode_heads/mask2former_head.py`` and mmdet ``models/dense_heads/mask2former_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.layers.deformable_pixel_decoder import MSDeformAttnPixelDecoder
from segship.models.layers.detr import DetrDecoder, MaskedDecoderLayer
from segship.models.layers.mask_classification import MaskClassificationHead
from segship.models.layers.nested import build_nested
from segship.models.layers.pixel_decoder import SINE
from segship.models.layers.sine_position import SinePositionalEncoding
from segship.models.layers.tokens import to_tokens
from segship.models.registry import heads
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.decode_head import Features
    from segship.models.layers.tokens import Size

__all__ = ["Mask2FormerHead", "attended"]


def attended(masks: Tensor, size: Size) -> Tensor:
    """Return where each query may look next: inside its own mask, or everywhere if the mask is empty.

    Args:
        masks: (N, Q, h, w) mask logits.
        size: (H, W) of the map that is attended to.

    Returns:
        bool (N, 1, Q, H*W); each row holds at least one True.
    """
    logits = resize(masks, size).flatten(2)
    return ((logits >= 0) | (logits.amax(2, keepdim=True) < 0))[:, None]


@heads.register
class Mask2FormerHead(MaskClassificationHead):
    """Queries that attend, one scale after another, inside the masks they have found so far.

    Args:
        in_channels: Channels of the backbone's maps, all of which are taken.
        feat_channels: Width of the queries and of the pixel decoder.
        out_channels: Channels of the map that the masks are made of.
        num_classes: Number of classes.
        pixel_decoder: ``type`` (``MSDeformAttnPixelDecoder``) and its keywords.
        transformer_decoder: Keywords of `DetrDecoder`.
        num_queries: Number of queries.
        num_transformer_feat_level: How many scales are attended to, the coarsest first.
        positional_encoding: Keywords of `SinePositionalEncoding`.
        enforce_decoder_input_project: Whether the scales are projected even if their width is the decoder's.
        align_corners: As `MaskClassificationHead`.
        strides: Without effect, as upstream.

    Raises:
        ConfigError: The pixel decoder has another number of scales.
        UnsupportedError: The pixel decoder is unknown.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        *,
        num_classes: int,
        pixel_decoder: Cfg,
        transformer_decoder: Cfg,
        num_queries: int = 100,
        num_transformer_feat_level: int = 3,
        positional_encoding: Cfg = SINE,
        enforce_decoder_input_project: bool = False,
        align_corners: bool = False,
        strides: Sequence[int] | None = None,
    ) -> None:
        super().__init__(feat_channels, out_channels, num_classes=num_classes, align_corners=align_corners)
        kind = str(pixel_decoder.get("type")).rpartition(".")[2]
        if kind != "MSDeformAttnPixelDecoder":
            raise UnsupportedError(f"Mask2Former's pixel decoder is MSDeformAttnPixelDecoder, not {kind!r}")
        self.pixel_decoder = build_nested(
            MSDeformAttnPixelDecoder,
            pixel_decoder,
            in_channels=in_channels,
            feat_channels=feat_channels,
            out_channels=out_channels,
        )
        levels = self.pixel_decoder.encoder.num_levels
        if levels != num_transformer_feat_level:
            raise ConfigError(
                f"the pixel decoder has {levels} scales, the head attends to {num_transformer_feat_level}"
            )
        self.transformer_decoder = build_nested(DetrDecoder, transformer_decoder, layer=MaskedDecoderLayer)
        width = self.transformer_decoder.embed_dims
        project = enforce_decoder_input_project or feat_channels != width
        self.decoder_input_projs = nn.ModuleList(
            [nn.Conv2d(feat_channels, width, 1) if project else nn.Identity() for _ in range(levels)]
        )
        self.decoder_positional_encoding = build_nested(SinePositionalEncoding, positional_encoding)
        self.query_embed = nn.Embedding(num_queries, feat_channels)
        self.query_feat = nn.Embedding(num_queries, feat_channels)
        self.level_embed = nn.Embedding(levels, feat_channels)

    def forward(self, features: Features, *, size: Size) -> Tensor:
        """Feature maps and the image's (H, W) -> logits (N, num_classes, H, W)."""
        mask_features, maps = self.pixel_decoder(features)
        sizes = [(x.shape[2], x.shape[3]) for x in maps]
        memory = [
            to_tokens(project(x)) + self.level_embed.weight[level]
            for level, (project, x) in enumerate(zip(self.decoder_input_projs, maps, strict=True))
        ]
        positions = [self.decoder_positional_encoding(scale, mask_features) for scale in sizes]
        decoder = self.transformer_decoder
        queries = self.query_feat.weight.expand(mask_features.shape[0], -1, -1)
        for step, layer in enumerate(decoder.layers):
            level = step % len(maps)
            masks = self.masks(decoder.post_norm(queries), mask_features)
            queries = layer(
                queries,
                memory[level],
                query_pos=self.query_embed.weight,
                memory_pos=positions[level],
                mask=attended(masks, sizes[level]),
            )
        queries = decoder.post_norm(queries)
        return self.semantic(queries, self.masks(queries, mask_features), size)
