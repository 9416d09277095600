"""Global context head.

Source: GCNet (arXiv:1904.11492); upstream ``mmseg/models/decode_heads/gc_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from segship.models.heads.fcn import FCNHead
from segship.models.layers.context_block import ContextBlock
from segship.models.layers.conv import RELU, Cfg
from segship.models.registry import heads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.decode_head import Features, InputTransform

__all__ = ["GCHead"]


@heads.register
class GCHead(FCNHead):
    """A global context block between two convolutions.

    Args:
        ratio, pooling_type, fusion_types: As `ContextBlock`.
        kernel_size, concat_input, dilation: As `FCNHead`.
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
        ratio: float = 1 / 4,
        pooling_type: Literal["att", "avg"] = "att",
        fusion_types: Sequence[str] = ("channel_add",),
        kernel_size: int = 3,
        concat_input: bool = True,
        dilation: int = 1,
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
            num_convs=2,
            kernel_size=kernel_size,
            concat_input=concat_input,
            dilation=dilation,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.gc_block = ContextBlock(channels, ratio, pooling_type, fusion_types)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        x = self.select(features)
        y = self.convs[1](self.gc_block(self.convs[0](x)))
        return self.classify(y if self.conv_cat is None else self.conv_cat(torch.cat([x, y], dim=1)))
