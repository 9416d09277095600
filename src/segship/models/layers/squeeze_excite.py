"""Squeeze and excitation: every channel scaled by what the whole map says of it.

Source: Squeeze-and-Excitation Networks (arXiv:1709.01507); upstream ``SELayer`` in ``mmseg/models/utils/se_layer.py``
(Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.channels import make_divisible
from segship.models.layers.conv import RELU, Cfg, ConvModule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SELayer"]

_HSIGMOID: Cfg = {"type": "HSigmoid", "bias": 3.0, "divisor": 6.0}


class SELayer(nn.Module):
    """Average, two 1x1 convolutions, multiply.

    Args:
        channels: Channels of the map.
        ratio: How many times fewer channels lie between the convolutions.
        conv_cfg: As `ConvModule`.
        act_cfg: Activation of the first and of the second convolution.
    """

    def __init__(
        self,
        channels: int,
        ratio: int = 16,
        conv_cfg: Cfg | None = None,
        act_cfg: tuple[Cfg, Cfg] = (RELU, _HSIGMOID),
    ) -> None:
        super().__init__()
        width = make_divisible(channels // ratio, 8)
        self.conv1 = ConvModule(channels, width, 1, conv_cfg=conv_cfg, act_cfg=act_cfg[0])
        self.conv2 = ConvModule(width, channels, 1, conv_cfg=conv_cfg, act_cfg=act_cfg[1])

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> the same shape."""
        return x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))
