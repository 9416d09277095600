"""Residual blocks of `ConvModule`s, of the real-time networks with several branches (DDRNet, PIDNet).

Source: ResNet (arXiv:1512.03385); upstream ``mmseg/models/utils/basic_block.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.models.layers.activation import build_activation
from segship.models.layers.conv import RELU, Cfg, ConvModule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BasicBlock", "Bottleneck"]

_BN: Cfg = {"type": "BN"}


class _Residual(nn.Module):
    """``act(convolutions(x) + shortcut(x))``; a subclass brings the convolutions."""

    downsample: nn.Module | None
    act: nn.Module | None

    def _convolve(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels * expansion, H / stride, W / stride), rounded up."""
        y = self._convolve(x) + (x if self.downsample is None else self.downsample(x))
        return y if self.act is None else self.act(y)


class BasicBlock(_Residual):
    """Two 3x3 convolutions.

    Args:
        in_channels, channels: Channels before and after.
        stride: Of the first convolution.
        downsample: The shortcut, or None for the identity.
        norm_cfg, act_cfg: As `ConvModule`.
        act_cfg_out: Activation of the sum, or None.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
        act_cfg_out: Cfg | None = RELU,
    ) -> None:
        super().__init__()
        self.conv1 = ConvModule(in_channels, channels, 3, stride=stride, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = ConvModule(channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=None)
        self.downsample = downsample
        self.act = None if act_cfg_out is None else build_activation(act_cfg_out)

    def _convolve(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class Bottleneck(_Residual):
    """1x1, 3x3 and 1x1 convolution, the last twice as wide.

    Args:
        in_channels: Channels before.
        channels: Channels inside; half of those after.
        stride: Of the 3x3 convolution.
        downsample: The shortcut, or None for the identity.
        norm_cfg, act_cfg: As `ConvModule`.
        act_cfg_out: Activation of the sum, or None.
    """

    expansion = 2

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = RELU,
        act_cfg_out: Cfg | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = ConvModule(in_channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv2 = ConvModule(channels, channels, 3, stride=stride, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv3 = ConvModule(channels, channels * self.expansion, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.downsample = downsample
        self.act = None if act_cfg_out is None else build_activation(act_cfg_out)

    def _convolve(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))
