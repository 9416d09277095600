"""OCRNet's head: each cell attends to the classes, of which a head before it made a first guess.

Source: OCRNet (arXiv:1909.11065); upstream ``mmseg/models/decode_heads/ocr_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from segship.core.errors import UnsupportedError
from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import SelfAttentionBlock
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["OCRHead"]


def _gather(x: Tensor, logits: Tensor) -> Tensor:
    """Each class's average of the map, weighted by a softmax of its logits over all cells.

    (N, C, H, W) and (N, K, H, W) -> (N, C, K, 1).
    """
    weights = logits.flatten(2).softmax(2)
    return torch.matmul(x.flatten(2), weights.transpose(1, 2)).unsqueeze(3)


class _ObjectAttention(SelfAttentionBlock):
    """Attention of the cells to the classes, joined with the cells again."""

    def __init__(
        self, in_channels: int, channels: int, *, conv_cfg: Cfg | None, norm_cfg: Cfg | None, act_cfg: Cfg | None
    ) -> None:
        super().__init__(
            in_channels,
            in_channels,
            channels,
            in_channels,
            key_query_num_convs=2,
            key_query_norm=True,
            value_out_norm=True,
            matmul_norm=True,
            with_out=True,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.bottleneck = ConvModule(
            in_channels * 2, in_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, query_map: Tensor, key_map: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W) and (N, in_channels, K, 1) -> (N, in_channels, H, W)."""
        context = super().forward(query_map, key_map)
        return self.bottleneck(torch.cat([context, query_map], dim=1))


@heads.register
class OCRHead(DecodeHead):
    """Object-contextual representations; a head of a cascade, which refines the logits of the head before it.

    Args:
        ocr_channels: Channels of keys and queries.
        scale: By how much the map is reduced before the attention; 1 is the only scale upstream can run.
        in_channels, channels, num_classes, out_channels, threshold, in_index, input_transform, align_corners: As
            `DecodeHead`.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.

    Raises:
        UnsupportedError: ``scale`` is not 1.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        num_classes: int,
        ocr_channels: int,
        scale: int = 1,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int | Sequence[int] = -1,
        input_transform: InputTransform = None,
        align_corners: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
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
        if scale != 1:
            raise UnsupportedError(f"OCRHead runs at scale 1 only, here as in MMSegmentation; scale is {scale}")
        self.object_context_block = _ObjectAttention(
            channels, ocr_channels, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )
        self.bottleneck = ConvModule(
            self.width, channels, 3, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, features: Features, previous: Tensor) -> Tensor:
        """Feature maps and logits (N, num_classes, h, w) -> better logits (N, out_channels, h, w)."""
        x = self.bottleneck(self.select(features))
        return self.classify(self.object_context_block(x, _gather(x, previous)))
