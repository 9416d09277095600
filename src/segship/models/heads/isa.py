"""Interlaced sparse self-attention head.

Source: Interlaced Sparse Self-Attention (arXiv:1907.12273); upstream ``mmseg/models/decode_heads/isa_head.py``
(Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from segship.models.layers.conv import RELU, Cfg, ConvModule
from segship.models.layers.decode_head import DecodeHead, Features, InputTransform
from segship.models.layers.map_attention import SelfAttentionBlock
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["ISAHead", "InterlacedAttention"]


class InterlacedAttention(SelfAttentionBlock):
    """Attention within a map, then a convolution.

    Args:
        in_channels: Channels of the map.
        channels: Channels of keys and queries.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = RELU,
    ) -> None:
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        super().__init__(
            in_channels,
            in_channels,
            channels,
            in_channels,
            key_query_num_convs=2,
            key_query_norm=True,
            matmul_norm=True,
            **cfgs,
        )
        self.output_project = ConvModule(in_channels, in_channels, 1, **cfgs)

    def forward(self, query_map: Tensor, key_map: Tensor | None = None) -> Tensor:
        """(N, in_channels, H, W) -> the same shape."""
        return self.output_project(super().forward(query_map, key_map))


@heads.register
class ISAHead(DecodeHead):
    """Attention among far cells, then among near ones: the map is cut in blocks, twice.

    Args:
        isa_channels: Channels of keys and queries.
        down_factor: Height and width of a block, in cells.
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
        isa_channels: int,
        down_factor: tuple[int, int] = (8, 8),
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
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.down_factor = down_factor
        self.in_conv = ConvModule(self.width, channels, 3, padding=1, **cfgs)
        self.global_relation = InterlacedAttention(channels, isa_channels, **cfgs)
        self.local_relation = InterlacedAttention(channels, isa_channels, **cfgs)
        self.out_conv = ConvModule(2 * channels, channels, 1, **cfgs)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.in_conv(self.select(features))
        return self.classify(self.out_conv(torch.cat([self._interlace(x), x], dim=1)))

    def _interlace(self, x: Tensor) -> Tensor:
        """Both attentions; (N, channels, H, W) -> the same shape.

        Cells are regrouped one axis at a time, so that no tensor has more than four axes: several engines allow no
        more than that or five.
        """
        near_h, near_w = self.down_factor
        height, width = x.shape[2:]
        far_h, far_w = (height + near_h - 1) // near_h, (width + near_w - 1) // near_w
        pad_h, pad_w = far_h * near_h - height, far_w * near_w - width
        x = F.pad(x, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))
        batch, channels = x.shape[:2]
        # To (N * near_h * near_w, C, far_h, far_w): cells at the same place of every block.
        x = x.reshape(batch, channels * far_h, near_h, far_w * near_w).transpose(1, 2)
        x = x.reshape(batch * near_h, channels * far_h, far_w, near_w).permute(0, 3, 1, 2)
        x = self.global_relation(x.reshape(batch * near_h * near_w, channels, far_h, far_w))
        # To (N * far_h * far_w, C, near_h, near_w): the cells of one block.
        x = x.reshape(batch, near_h * near_w, channels, far_h * far_w).transpose(1, 3)
        x = self.local_relation(x.reshape(batch * far_h * far_w, channels, near_h, near_w))
        # Back to the map.
        x = x.reshape(batch * far_h, far_w, channels * near_h, near_w).transpose(1, 2)
        x = x.reshape(batch, far_h, channels, near_h * far_w * near_w).transpose(1, 2)
        x = x.reshape(batch, channels, far_h * near_h, far_w * near_w)
        return x.narrow(2, pad_h // 2, height).narrow(3, pad_w // 2, width)
