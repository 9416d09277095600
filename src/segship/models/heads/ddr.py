"""The head of DDRNet.

Source: DDRNet (arXiv:2101.06085); upstream ``mmseg/models/decode_heads/ddr_head.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.activation import build_activation
from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.layers.decode_head import DecodeHead, Features
from segship.models.registry import heads

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DDRHead"]

_BN: Cfg = {"type": "BN"}


def _branch(in_channels: int, channels: int, norm_cfg: Cfg, act_cfg: Cfg) -> nn.Sequential:
    conv = ConvModule(
        in_channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg, order=("norm", "act", "conv")
    )
    return nn.Sequential(conv, build_norm(norm_cfg, channels)[1], build_activation(act_cfg))


@heads.register
class DDRHead(DecodeHead):
    """One 3x3 convolution and the classifier; a second branch, for training's extra loss, only keeps its weights.

    Args:
        in_channels, channels, num_classes, out_channels, threshold, align_corners: As `DecodeHead`.
        in_index: Of no effect: the backbone gives one map.
        norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        num_classes: int,
        *,
        out_channels: int | None = None,
        threshold: float | None = None,
        in_index: int = -1,
        align_corners: bool = False,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
    ) -> None:
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            out_channels=out_channels,
            threshold=threshold,
            in_index=in_index,
            align_corners=align_corners,
        )
        self.head = _branch(in_channels, channels, norm_cfg, act_cfg)
        self.aux_head = _branch(in_channels // 2, channels, norm_cfg, act_cfg)
        self.aux_cls_seg = nn.Conv2d(channels, self.out_channels, 1)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        return self.classify(self.head(features[-1]))
