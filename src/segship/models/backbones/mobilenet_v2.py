"""MobileNetV2: inverted residuals with linear bottlenecks.

Source: MobileNetV2 (arXiv:1801.04381); upstream ``mmseg/models/backbones/mobilenet_v2.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.channels import make_divisible
from segship.models.layers.conv import Cfg, ConvModule
from segship.models.layers.inverted_residual import InvertedResidual
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["MobileNetV2"]

_BN: Cfg = {"type": "BN"}
_RELU6: Cfg = {"type": "ReLU6"}
# Expansion, channels and number of blocks of each stage: table 2 of the paper.
_STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))


@backbones.register
class MobileNetV2(nn.Module):
    """A convolution of stride 2, then seven stages of inverted residuals.

    Args:
        widen_factor: Factor of all numbers of channels.
        strides: Of the first block of each stage.
        dilations: Of the first block of each stage; the stage's other blocks are not dilated.
        out_indices: Stages whose output is returned, 0 to 6.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        dilations: Sequence[int] = (1, 1, 1, 1, 1, 1, 1),
        out_indices: Sequence[int] = (1, 2, 4, 6),
        *,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _RELU6,
    ) -> None:
        super().__init__()
        self.out_indices = tuple(out_indices)
        width = make_divisible(32 * widen_factor, 8)
        self.conv1 = ConvModule(3, width, 3, stride=2, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        for i, ((expand_ratio, channels, count), stride, dilation) in enumerate(
            zip(_STAGES, strides, dilations, strict=True), start=1
        ):
            out = make_divisible(channels * widen_factor, 8)
            blocks = [
                InvertedResidual(
                    width if first else out,
                    out,
                    stride=stride if first else 1,
                    expand_ratio=expand_ratio,
                    dilation=dilation if first else 1,
                    conv_cfg=conv_cfg,
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                )
                for first in [True] + [False] * (count - 1)
            ]
            self.add_module(f"layer{i}", nn.Sequential(*blocks))
            width = out

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Image (N, 3, H, W) -> one map for each of ``out_indices``."""
        x = self.conv1(x)
        maps = []
        for i in range(len(_STAGES)):
            x = self.get_submodule(f"layer{i + 1}")(x)
            maps.append(x)
        return tuple(maps[i] for i in self.out_indices)
