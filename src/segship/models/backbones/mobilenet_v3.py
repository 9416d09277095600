"""MobileNetV3 for segmentation: the last stages dilated instead of strided.

Source: Searching for MobileNetV3 (arXiv:1905.02244); upstream ``mmseg/models/backbones/mobilenet_v3.py`` and
``InvertedResidualV3`` in ``mmseg/models/utils/inverted_residual.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from segship.core.errors import UnsupportedError
from segship.models.layers.conv import Cfg, ConvModule
from segship.models.layers.same_padding import pad_same
from segship.models.layers.squeeze_excite import SELayer
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["InvertedResidualV3", "MobileNetV3"]

_BN: Cfg = {"type": "BN"}
_HSWISH: Cfg = {"type": "HSwish"}

# Kernel size, hidden channels, channels, squeeze and excitation, activation, stride: tables 1 and 2 of the paper; and
# dilation. Where there is dilation, it replaces the stride.
_Row: TypeAlias = tuple[int, int, int, bool, str, int, int]
_ROWS: dict[str, tuple[_Row, ...]] = {
    "small": (
        (3, 16, 16, True, "ReLU", 2, 1),
        (3, 72, 24, False, "ReLU", 2, 1),
        (3, 88, 24, False, "ReLU", 1, 1),
        (5, 96, 40, True, "HSwish", 2, 2),
        (5, 240, 40, True, "HSwish", 1, 2),
        (5, 240, 40, True, "HSwish", 1, 2),
        (5, 120, 48, True, "HSwish", 1, 2),
        (5, 144, 48, True, "HSwish", 1, 2),
        (5, 288, 96, True, "HSwish", 2, 4),
        (5, 576, 96, True, "HSwish", 1, 4),
        (5, 576, 96, True, "HSwish", 1, 4),
    ),
    "large": (
        (3, 16, 16, False, "ReLU", 1, 1),
        (3, 64, 24, False, "ReLU", 2, 1),
        (3, 72, 24, False, "ReLU", 1, 1),
        (5, 72, 40, True, "ReLU", 2, 1),
        (5, 120, 40, True, "ReLU", 1, 1),
        (5, 120, 40, True, "ReLU", 1, 1),
        (3, 240, 80, False, "HSwish", 2, 2),
        (3, 200, 80, False, "HSwish", 1, 2),
        (3, 184, 80, False, "HSwish", 1, 2),
        (3, 184, 80, False, "HSwish", 1, 2),
        (3, 480, 112, True, "HSwish", 1, 2),
        (3, 672, 112, True, "HSwish", 1, 2),
        (5, 672, 160, True, "HSwish", 2, 4),
        (5, 960, 160, True, "HSwish", 1, 4),
        (5, 960, 160, True, "HSwish", 1, 4),
    ),
}
# The first row that `reduction_factor` narrows, and the channels of the last convolution.
_REDUCED_FROM = {"small": 8, "large": 12}
_LAST = {"small": 576, "large": 960}


class InvertedResidualV3(nn.Module):
    """Widen, filter each channel, squeeze and excite, narrow; with a shortcut where shapes allow it.

    Args:
        in_channels: Channels before.
        hidden: Channels of the depthwise convolution; equal to ``in_channels``: nothing is widened.
        out_channels: Channels after.
        kernel_size: Of the depthwise convolution.
        stride: Of the depthwise convolution, which is padded at the end then; 2 leaves the shortcut out.
        dilation: Of the depthwise convolution; more than 1 takes the place of the stride.
        squeeze: Whether channels are scaled.
        conv_cfg, norm_cfg, act_cfg: As `ConvModule`; the last convolution has no activation.
    """

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        *,
        kernel_size: int,
        stride: int,
        dilation: int,
        squeeze: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
        act_cfg: Cfg,
    ) -> None:
        super().__init__()
        self.shortcut = stride == 1 and in_channels == out_channels
        stride = 1 if dilation > 1 else stride
        self.padding = None if stride == 1 else (kernel_size, stride)
        self.expand_conv = (
            None
            if in_channels == hidden
            else ConvModule(in_channels, hidden, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        )
        self.depthwise_conv = ConvModule(
            hidden,
            hidden,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2) if stride == 1 else 0,
            dilation=dilation,
            groups=hidden,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.se = SELayer(hidden, 4) if squeeze else None
        self.linear_conv = ConvModule(hidden, out_channels, 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride), rounded up."""
        hidden = x if self.expand_conv is None else self.expand_conv(x)
        hidden = self.depthwise_conv(hidden if self.padding is None else pad_same(hidden, *self.padding))
        y: Tensor = self.linear_conv(hidden if self.se is None else self.se(hidden))
        return x + y if self.shortcut else y


@backbones.register
class MobileNetV3(nn.Module):
    """A convolution of stride 2, inverted residuals, a 1x1 convolution: ``layer0``, ``layer1`` and so on.

    Args:
        arch: ``"small"`` (13 layers) or ``"large"`` (17).
        out_indices: Layers whose output is returned.
        reduction_factor: Divisor of the channels of the last stage.
        conv_cfg, norm_cfg: As `ConvModule`.

    Raises:
        UnsupportedError: The architecture is unknown.
    """

    def __init__(
        self,
        arch: str = "small",
        out_indices: Sequence[int] = (0, 1, 12),
        *,
        reduction_factor: int = 1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
    ) -> None:
        super().__init__()
        if arch not in _ROWS:
            raise UnsupportedError(f"MobileNetV3 is 'small' or 'large', not {arch!r}")
        self.out_indices = tuple(out_indices)
        # Padded before it is called, as are all convolutions of stride 2.
        layers: list[nn.Module] = [
            ConvModule(3, 16, 3, stride=2, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=_HSWISH)
        ]
        width = 16
        for i, (kernel_size, hidden, out, squeeze, activation, stride, dilation) in enumerate(_ROWS[arch]):
            divisor = reduction_factor if i >= _REDUCED_FROM[arch] else 1
            block = InvertedResidualV3(
                width,
                hidden // divisor,
                out // divisor,
                kernel_size=kernel_size,
                stride=stride,
                dilation=dilation,
                squeeze=squeeze,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                act_cfg={"type": activation},
            )
            layers.append(block)
            width = out // divisor
        layers.append(ConvModule(width, _LAST[arch], 1, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=_HSWISH))
        self.depth = len(layers)
        for i, layer in enumerate(layers):
            self.add_module(f"layer{i}", layer)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Image (N, 3, H, W) -> one map for each of ``out_indices``."""
        x = pad_same(x, 3, 2)
        maps = []
        for i in range(self.depth):
            x = self.get_submodule(f"layer{i}")(x)
            maps.append(x)
        return tuple(maps[i] for i in self.out_indices)
