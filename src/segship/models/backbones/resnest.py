"""ResNeSt: ResNet-D whose 3x3 convolutions weigh several versions of their output against each other.

Source: ResNeSt (arXiv:2004.08955); upstream ``mmseg/models/backbones/resnest.py`` (Apache-2.0).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from torch import nn

from segship.models.backbones.resnet import ResNetV1d
from segship.models.layers.conv import Cfg, build_conv
from segship.models.layers.residual import BN, Bottleneck, Style, group_width
from segship.models.layers.transformer import add_norm
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

__all__ = ["ResNeSt"]


class _SplitAttention(nn.Module):
    """A 3x3 convolution with ``radix`` times the channels; the versions' averages decide how they are added up."""

    def __init__(
        self,
        channels: int,
        *,
        stride: int,
        dilation: int,
        groups: int,
        radix: int,
        reduction_factor: int,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
    ) -> None:
        super().__init__()
        self.radix, self.groups = radix, groups
        hidden = max(channels * radix // reduction_factor, 32)
        self.conv = build_conv(
            conv_cfg,
            channels,
            channels * radix,
            3,
            stride=stride,
            padding=dilation,
            dilation=dilation,
            groups=groups * radix,
            bias=False,
        )
        self.norm0_name = add_norm(self, norm_cfg, channels * radix, "0")
        self.fc1 = nn.Conv2d(channels, hidden, 1, groups=groups)
        self.norm1_name = add_norm(self, norm_cfg, hidden, "1")
        self.fc2 = nn.Conv2d(hidden, channels * radix, 1, groups=groups)

    def _weights(self, average: Tensor) -> Tensor:
        """(N, channels, 1, 1) -> (N, radix * channels, 1, 1), adding up to 1 over the versions."""
        x = self.fc2(self.get_submodule(self.norm1_name)(self.fc1(average)).relu())
        if self.radix == 1:
            return x.sigmoid()
        # The groups are the convolution's outer order, the versions that of what they are multiplied with.
        x = x.flatten(1).unflatten(1, (self.groups, self.radix, -1)).softmax(2).transpose(1, 2)
        return x.flatten(1)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels, H / stride, W / stride)."""
        x = self.get_submodule(self.norm0_name)(self.conv(x)).relu()
        versions = x.chunk(self.radix, 1)
        weights = self._weights(sum(versions[1:], versions[0]).mean((2, 3), keepdim=True)).chunk(self.radix, 1)
        products = [weight * version for weight, version in zip(weights, versions, strict=True)]
        return sum(products[1:], products[0])


class _SplitBottleneck(nn.Module):
    """A split-attention convolution between two 1x1 ones, beside a shortcut."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: Style = "pytorch",
        groups: int,
        base_width: int,
        base_channels: int,
        radix: int,
        reduction_factor: int,
        avg_down_stride: bool,
        conv_cfg: Cfg | None,
        norm_cfg: Cfg,
    ) -> None:
        super().__init__()
        first, second = (1, stride) if style == "pytorch" else (stride, 1)
        averaged = avg_down_stride and second > 1
        width, out = group_width(planes, groups, base_width, base_channels), planes * Bottleneck.expansion
        self.conv1 = build_conv(conv_cfg, inplanes, width, 1, stride=first, bias=False)
        self.norm1_name = add_norm(self, norm_cfg, width, "1")
        self.conv2 = _SplitAttention(
            width,
            stride=1 if averaged else second,
            dilation=dilation,
            groups=groups,
            radix=radix,
            reduction_factor=reduction_factor,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
        )
        self.avd_layer = nn.AvgPool2d(3, second, padding=1) if averaged else None
        self.conv3 = build_conv(conv_cfg, width, out, 1, bias=False)
        self.norm3_name = add_norm(self, norm_cfg, out, "3")
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) -> (N, 4 * planes, H / stride, W / stride)."""
        y = self.conv2(self.get_submodule(self.norm1_name)(self.conv1(x)).relu())
        if self.avd_layer is not None:
            y = self.avd_layer(y)
        y = self.get_submodule(self.norm3_name)(self.conv3(y))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


@backbones.register
class ResNeSt(ResNetV1d):
    """`ResNetV1d` of split-attention bottlenecks.

    Args:
        depth: 50, 101, 152 or 200.
        groups, base_width: Of the 3x3 convolutions, as `ResNeXt`.
        radix: Number of versions.
        reduction_factor: By how much the layer that weighs the versions is narrower than all versions together.
        avg_down_stride: Whether averaging makes a bottleneck's stride, instead of its convolution.
        in_channels, stem_channels, base_channels, num_stages, strides, dilations, out_indices, style, conv_cfg,
            norm_cfg, dcn, stage_with_dcn, plugins, multi_grid, contract_dilation: As `ResNet`.
    """

    blocks = {**{depth: ResNetV1d.blocks[depth] for depth in (50, 101, 152)}, 200: (4, (3, 24, 36, 3))}

    def __init__(
        self,
        depth: int,
        groups: int = 1,
        base_width: int = 4,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: Style = "pytorch",
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = BN,
        dcn: Cfg | None = None,
        stage_with_dcn: Sequence[bool] = (),
        plugins: Sequence[Cfg] | None = None,
        multi_grid: Sequence[int] | None = None,
        contract_dilation: bool = False,
    ) -> None:
        # Before the base class builds the stages, which asks `block`.
        self.split_options: dict[str, Any] = {
            "radix": radix,
            "reduction_factor": reduction_factor,
            "avg_down_stride": avg_down_stride,
        }
        super().__init__(
            depth,
            in_channels=in_channels,
            stem_channels=stem_channels,
            base_channels=base_channels,
            num_stages=num_stages,
            strides=strides,
            dilations=dilations,
            out_indices=out_indices,
            style=style,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            dcn=dcn,
            stage_with_dcn=stage_with_dcn,
            plugins=plugins,
            multi_grid=multi_grid,
            contract_dilation=contract_dilation,
            groups=groups,
            base_width=base_width,
        )

    def block(self, expansion: int, options: dict[str, Any]) -> Callable[..., nn.Module]:
        """Return the builder of the network's blocks; see `ResNet.block`."""
        del expansion  # there is one kind of block
        return functools.partial(_SplitBottleneck, **options, **self.split_options)
