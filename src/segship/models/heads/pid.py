"""The head of PIDNet.

Source: PIDNet (arXiv:2206.02066); upstream ``mmseg/models/decode_heads/pid_head.py`` (Apache-2.0).
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

__all__ = ["PIDHead"]

_BN: Cfg = {"type": "BN"}


class _Branch(nn.Module):
    """Normalisation, activation, 3x3 convolution, normalisation, activation."""

    def __init__(self, in_channels: int, channels: int, norm_cfg: Cfg, act_cfg: Cfg) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg, order=("norm", "act", "conv")
        )
        self.norm = build_norm(norm_cfg, channels)[1]
        self.act = build_activation(act_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H, W)."""
        return self.act(self.norm(self.conv(x)))


@heads.register
class PIDHead(DecodeHead):
    """One 3x3 convolution and the classifier; the branches for detail and borders only keep their weights.

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
        half, quarter = in_channels // 2, in_channels // 4
        self.i_head = _Branch(in_channels, channels, norm_cfg, act_cfg)
        self.p_head = _Branch(half, channels, norm_cfg, act_cfg)
        self.d_head = _Branch(half, quarter, norm_cfg, RELU)
        self.p_cls_seg = nn.Conv2d(channels, self.out_channels, 1)
        self.d_cls_seg = nn.Conv2d(quarter, 1, 1)

    def forward(self, features: Features) -> Tensor:
        """Feature maps -> logits (N, out_channels, h, w)."""
        return self.classify(self.i_head(features[-1]))
