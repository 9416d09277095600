"""Residual blocks, and the stages of ResNets that are built from them.

Source: ResNet (arXiv:1512.03385), ResNeXt (arXiv:1611.05431), the pooled shortcut of ResNet-D (arXiv:1812.01187);
upstream ``mmseg/models/backbones/resnet.py``, ``resnext.py`` and ``mmseg/models/utils/res_layer.py`` (Apache-2.0).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import Cfg, build_conv, build_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

__all__ = ["BN", "BasicBlock", "Bottleneck", "Style", "group_width", "residual_stage", "shortcut"]

BN: Cfg = {"type": "BN"}

Style = Literal["pytorch", "caffe"]
"""Which convolution of a bottleneck has the stride: the 3x3 one (``"pytorch"``) or the first (``"caffe"``)."""


def _add_norms(block: nn.Module, norm_cfg: Cfg, *channels: int) -> list[str]:
    """Give ``block`` its normalisation layers under mmcv's names (``bn1``, ``bn2``, ...) and return the names."""
    names = []
    for number, width in enumerate(channels, start=1):
        kind, norm = build_norm(norm_cfg, width)
        names.append(f"{kind}{number}")
        block.add_module(names[-1], norm)
    return names


def group_width(planes: int, groups: int, base_width: int, base_channels: int) -> int:
    """Width of a bottleneck's 3x3 convolution, as ResNeXt counts it.

    Args:
        planes: Width if there are no groups.
        groups: Groups of the convolution.
        base_width: Channels of each group in the first stage.
        base_channels: ``planes`` of the first stage.
    """
    return planes if groups == 1 else math.floor(planes * (base_width / base_channels)) * groups


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Args:
        inplanes: Channels in.
        planes: Channels out.
        stride, dilation: Of the first convolution.
        downsample: The shortcut; None: identity.
        conv_cfg, norm_cfg: As `ConvModule`.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = BN,
    ) -> None:
        super().__init__()
        self.conv1 = build_conv(
            conv_cfg, inplanes, planes, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
        )
        self.conv2 = build_conv(conv_cfg, planes, planes, 3, padding=1, bias=False)
        self.norm_names = _add_norms(self, norm_cfg, planes, planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, planes, H / stride, W / stride)."""
        norm1, norm2 = (self.get_submodule(name) for name in self.norm_names)
        y = norm2(self.conv2(norm1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones, beside a shortcut.

    Args:
        inplanes: Channels in.
        planes: A quarter of the channels out.
        stride: Of the block.
        dilation: Of the 3x3 convolution.
        downsample: The shortcut; None: identity.
        style: Which convolution has the stride.
        groups, base_width, base_channels: Of the 3x3 convolution, as `group_width`.
        conv_cfg, norm_cfg: As `ConvModule`.

    Raises:
        ConfigError: ``style`` is unknown.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Style = "pytorch",
        groups: int = 1,
        base_width: int = 4,
        base_channels: int = 64,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = BN,
    ) -> None:
        super().__init__()
        if style not in {"pytorch", "caffe"}:
            raise ConfigError(f'style is "pytorch" or "caffe", not {style!r}')
        first, second = (1, stride) if style == "pytorch" else (stride, 1)
        width, out = group_width(planes, groups, base_width, base_channels), planes * self.expansion
        self.conv1 = build_conv(conv_cfg, inplanes, width, 1, stride=first, bias=False)
        self.conv2 = build_conv(
            conv_cfg, width, width, 3, stride=second, padding=dilation, dilation=dilation, groups=groups, bias=False
        )
        self.conv3 = build_conv(conv_cfg, width, out, 1, bias=False)
        self.norm_names = _add_norms(self, norm_cfg, width, width, out)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, 4 * planes, H / stride, W / stride)."""
        norm1, norm2, norm3 = (self.get_submodule(name) for name in self.norm_names)
        y = norm1(self.conv1(x)).relu()
        y = norm2(self.conv2(y)).relu()
        y = norm3(self.conv3(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


def shortcut(
    inplanes: int, outplanes: int, stride: int, *, avg_down: bool = False, conv_cfg: Cfg | None = None, norm_cfg: Cfg
) -> nn.Sequential:
    """The projection beside a block that changes the stride or the channels.

    Args:
        inplanes: Channels in.
        outplanes: Channels out.
        stride: Of the block.
        avg_down: Whether averaging makes the stride, before a convolution of stride 1.
        conv_cfg: As `ConvModule`.
        norm_cfg: As `ConvModule`.
    """
    conv = build_conv(conv_cfg, inplanes, outplanes, 1, stride=1 if avg_down else stride, bias=False)
    norm = build_norm(norm_cfg, outplanes)[1]
    if not avg_down:
        return nn.Sequential(conv, norm)
    # Pooling by 1 is the identity, but it has a place in the sequence, and so in the keys.
    pool = nn.Identity() if stride == 1 else nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, conv, norm)


def residual_stage(
    block: Callable[..., nn.Module],
    inplanes: int,
    planes: int,
    num_blocks: int,
    *,
    expansion: int,
    stride: int = 1,
    dilation: int = 1,
    avg_down: bool = False,
    multi_grid: Sequence[int] | None = None,
    contract_dilation: bool = False,
    conv_cfg: Cfg | None = None,
    norm_cfg: Cfg = BN,
) -> nn.Sequential:
    """A stage: blocks one after the other, the first with the stride and the projection (upstream ``ResLayer``).

    Args:
        block: Builds a block: ``block(inplanes, planes, stride=, dilation=, downsample=, conv_cfg=, norm_cfg=)``.
        inplanes: Channels in.
        planes: Channels out, divided by ``expansion``.
        num_blocks: Number of blocks.
        expansion: Of the blocks.
        stride: Of the first block.
        dilation: Of the blocks.
        avg_down: As `shortcut`.
        multi_grid: Dilation of each block, instead of ``dilation``.
        contract_dilation: Whether the first block has half the dilation.
        conv_cfg: As `ConvModule`.
        norm_cfg: As `ConvModule`.
    """
    out = planes * expansion
    rates = [dilation] * num_blocks if multi_grid is None else list(multi_grid)[:num_blocks]
    if multi_grid is None and contract_dilation and dilation > 1:
        rates[0] = dilation // 2
    projection = None
    if stride != 1 or inplanes != out:
        projection = shortcut(inplanes, out, stride, avg_down=avg_down, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
    first = block(
        inplanes,
        planes,
        stride=stride,
        dilation=rates[0],
        downsample=projection,
        conv_cfg=conv_cfg,
        norm_cfg=norm_cfg,
    )
    rest = [block(out, planes, dilation=rate, conv_cfg=conv_cfg, norm_cfg=norm_cfg) for rate in rates[1:]]
    return nn.Sequential(first, *rest)
