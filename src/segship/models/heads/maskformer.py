"""MaskFormer's head.

Source: Per-Pixel Classification is Not All You Need for Semantic Segmentation (arXiv:2107.06278); upstream
``mmseg/models/decode_heads/maskformer_head.py`` and mmdet ``models/dense_heads/maskformer_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import UnsupportedError, did_you_mean
from segship.models.layers.detr import DetrDecoder
from segship.models.layers.mask_classification import MaskClassificationHead
from segship.models.layers.nested import build_nested
from segship.models.layers.pixel_decoder import SINE, PixelDecoder, TransformerEncoderPixelDecoder
from segship.models.layers.sine_position import SinePositionalEncoding
from segship.models.layers.tokens import to_tokens
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.decode_head import Features
    from segship.models.layers.tokens import Size

__all__ = ["MaskFormerHead"]

_PIXEL_DECODERS: dict[str, type[PixelDecoder | TransformerEncoderPixelDecoder]] = {
    "PixelDecoder": PixelDecoder,
    "TransformerEncoderPixelDecoder": TransformerEncoderPixelDecoder,
}


@heads.register
class MaskFormerHead(MaskClassificationHead):
    """Queries that attend to the backbone's coarsest map; each becomes a mask and a class.

    Args:
        in_channels: Channels of the backbone's maps, all of which are taken.
        feat_channels: Width of the queries and of the pixel decoder.
        out_channels: Channels of the map that the masks are made of.
        num_classes: Number of classes.
        num_queries: Number of queries.
        pixel_decoder: ``type`` (``PixelDecoder`` or ``TransformerEncoderPixelDecoder``) and its keywords.
        transformer_decoder: Keywords of `DetrDecoder`.
        positional_encoding: Keywords of `SinePositionalEncoding`, of the map that is attended to.
        enforce_decoder_input_project: Whether that map is projected even if its width is the decoder's.
        align_corners: As `MaskClassificationHead`.
        in_index: Without effect, as upstream.

    Raises:
        UnsupportedError: The pixel decoder is unknown.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        feat_channels: int,
        out_channels: int,
        *,
        pixel_decoder: Cfg,
        transformer_decoder: Cfg,
        num_classes: int = 150,
        num_queries: int = 100,
        positional_encoding: Cfg = SINE,
        enforce_decoder_input_project: bool = False,
        align_corners: bool = False,
        in_index: Sequence[int] | None = None,
    ) -> None:
        super().__init__(feat_channels, out_channels, num_classes=num_classes, align_corners=align_corners)
        kind = str(pixel_decoder.get("type")).rpartition(".")[2]
        if kind not in _PIXEL_DECODERS:
            raise UnsupportedError(f"MaskFormer has no pixel decoder {kind!r}.{did_you_mean(kind, _PIXEL_DECODERS)}")
        self.pixel_decoder = build_nested(
            _PIXEL_DECODERS[kind],
            pixel_decoder,
            in_channels=in_channels,
            feat_channels=feat_channels,
            out_channels=out_channels,
        )
        self.transformer_decoder = build_nested(DetrDecoder, transformer_decoder)
        # Upstream projects the plain decoder's memory only, and compares the backbone's width with the decoder's.
        width, project = self.transformer_decoder.embed_dims, False
        if isinstance(self.pixel_decoder, PixelDecoder):
            project = enforce_decoder_input_project or in_channels[-1] != width
        self.decoder_input_proj = nn.Conv2d(in_channels[-1], width, 1) if project else nn.Identity()
        self.decoder_pe = build_nested(SinePositionalEncoding, positional_encoding)
        self.query_embed = nn.Embedding(num_queries, out_channels)

    def forward(self, features: Features, *, size: Size) -> Tensor:
        """Feature maps and the image's (H, W) -> logits (N, num_classes, H, W)."""
        mask_features, memory = self.pixel_decoder(features)
        memory = self.decoder_input_proj(memory)
        position = self.decoder_pe((memory.shape[2], memory.shape[3]), memory)
        query_pos = self.query_embed.weight.expand(memory.shape[0], -1, -1)
        queries = self.transformer_decoder(
            torch.zeros_like(query_pos), to_tokens(memory), query_pos=query_pos, memory_pos=position
        )
        return self.semantic(queries, self.masks(queries, mask_features), size)
