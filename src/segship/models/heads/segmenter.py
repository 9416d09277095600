"""Segmenter's mask transformer: class embeddings attend to the patches and are compared with them.

Source: Segmenter (arXiv:2105.05633); upstream ``mmseg/models/decode_heads/segmenter_mask_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.layers.conv import build_norm
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.tokens import to_map, to_tokens
from segship.models.layers.transformer import GELU, LAYER_NORM, TransformerEncoderLayer
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["SegmenterMaskTransformerHead"]

_SHORTEST = 1e-12  # as torch's own `normalize`


@heads.register
class SegmenterMaskTransformerHead(DecodeHead):
    """Layers over patches and class embeddings; the logits are the cosines between the two, normalised.

    Args:
        in_channels: Width of the map.
        num_layers, num_heads: Layers, and attention heads of each.
        embed_dims: Width inside.
        mlp_ratio: Width of the feed-forward network over ``embed_dims``.
        num_fcs: Linear layers in the feed-forward network.
        qkv_bias: Whether the attention's projections have a bias.
        act_cfg, norm_cfg: Activation and normalisation.
        channels: Unused; upstream's base class asks for it.
        num_classes, out_channels, threshold, in_index, input_transform, align_corners: As `DecodeHead`.
    """

    def __init__(
        self,
        in_channels: int,
        num_layers: int,
        num_heads: int,
        embed_dims: int,
        *,
        channels: int,
        num_classes: int,
        mlp_ratio: int = 4,
        num_fcs: int = 2,
        qkv_bias: bool = True,
        act_cfg: Cfg = GELU,
        norm_cfg: Cfg = LAYER_NORM,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
        align_corners: bool = False,
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
        del self.conv_seg
        layers = [
            TransformerEncoderLayer(
                embed_dims,
                num_heads,
                mlp_ratio * embed_dims,
                num_fcs=num_fcs,
                qkv_bias=qkv_bias,
                act_cfg=act_cfg,
                norm_cfg=norm_cfg,
            )
            for _ in range(num_layers)
        ]
        self.layers = nn.ModuleList(layers)
        self.dec_proj = nn.Linear(self.width, embed_dims)
        self.cls_emb = nn.Parameter(torch.randn(1, num_classes, embed_dims))
        self.patch_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.classes_proj = nn.Linear(embed_dims, embed_dims, bias=False)
        self.decoder_norm = build_norm(norm_cfg, embed_dims)[1]
        self.mask_norm = build_norm(norm_cfg, num_classes)[1]

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, num_classes, h, w)."""
        x = self.select(features)
        size = (x.shape[2], x.shape[3])
        x = self.dec_proj(to_tokens(x))
        x = torch.cat([x, self.cls_emb.expand(x.shape[0], -1, -1)], dim=1)
        for layer in self.layers:
            x = layer(x)
        x = self.decoder_norm(x)
        patches = _unit(self.patch_proj(x[:, : -self.num_classes]))
        classes = _unit(self.classes_proj(x[:, -self.num_classes :]))
        return to_map(self.mask_norm(patches @ classes.transpose(1, 2)), size)


def _unit(x: Tensor) -> Tensor:
    """(N, L, C), each vector divided by its length: ``F.normalize`` in operators that every engine has."""
    return x / (x.square().sum(2, keepdim=True) + _SHORTEST**2).sqrt()
