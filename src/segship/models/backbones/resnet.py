"""ResNet and its variants with a deep stem (V1c) and with pooled shortcuts besides (V1d).

Source: ResNet (arXiv:1512.03385), Bag of Tricks (arXiv:1812.01187); upstream ``mmseg/models/backbones/resnet.py``
(Apache-2.0).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.layers.conv import Cfg, build_conv, build_norm
from segship.models.layers.residual import BN, BasicBlock, Bottleneck, Style, residual_stage
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

__all__ = ["ResNet", "ResNetV1c", "ResNetV1d", "check_stages", "deep_stem_layers"]

_BASIC, _BOTTLENECK = BasicBlock.expansion, Bottleneck.expansion


def deep_stem_layers(in_channels: int, channels: int, *, conv_cfg: Cfg | None, norm_cfg: Cfg) -> nn.Sequential:
    """Three 3x3 convolutions, the first of stride 2, in place of one 7x7 convolution.

    Args:
        in_channels: Channels of the image.
        channels: Channels out; the first two convolutions have half as many.
        conv_cfg: As `ConvModule`.
        norm_cfg: As `ConvModule`.
    """
    half = channels // 2
    layers: list[nn.Module] = []
    for before, after, stride in ((in_channels, half, 2), (half, half, 1), (half, channels, 1)):
        conv = build_conv(conv_cfg, before, after, 3, stride=stride, padding=1, bias=False)
        layers += [conv, build_norm(norm_cfg, after)[1], nn.ReLU()]
    return nn.Sequential(*layers)


def check_stages(num_stages: int, strides: Sequence[int], dilations: Sequence[int], out_indices: Sequence[int]) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: There are not 1 to 4 stages, a stage has no stride or dilation, or an index has no stage.
    """
    if not 1 <= num_stages <= 4:
        raise ConfigError(f"num_stages is 1 to 4, not {num_stages}")
    if not len(strides) == len(dilations) == num_stages:
        raise ConfigError(
            f"{num_stages} stages need as many strides and dilations, not {len(strides)} and {len(dilations)}"
        )
    if max(out_indices) >= num_stages:
        raise ConfigError(f"out_indices {tuple(out_indices)} asks for stages that num_stages={num_stages} leaves out")


@backbones.register
class ResNet(nn.Module):
    """ResNet, which returns the maps of the stages.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the image.
        stem_channels: Channels of the stem.
        base_channels: Width of the first stage's blocks; each later stage doubles it.
        num_stages: Number of stages, 1 to 4.
        strides, dilations: One for each stage.
        out_indices: Which stages' maps are returned.
        style: Which convolution of a bottleneck has the stride.
        deep_stem: Three 3x3 convolutions instead of a 7x7 one as stem; None: as the variant has it.
        avg_down: Whether shortcuts average instead of striding; None: as the variant has it.
        multi_grid: Dilation of each block of the fourth stage.
        contract_dilation: Whether the first block of a dilated stage has half the dilation.
        groups, base_width: Of the bottlenecks' 3x3 convolutions (ResNeXt).
        conv_cfg, norm_cfg: As `ConvModule`.
        dcn, stage_with_dcn: Deformable convolutions, which are not provided; must be None and all False.
        plugins: Blocks within the bottlenecks, which are not provided; must be None.

    Raises:
        ConfigError: The depth is unknown, or settings contradict each other.
        UnsupportedError: ``dcn`` or ``plugins`` is given.
    """

    blocks: ClassVar[dict[int, tuple[int, tuple[int, ...]]]] = {
        18: (_BASIC, (2, 2, 2, 2)),
        34: (_BASIC, (3, 4, 6, 3)),
        50: (_BOTTLENECK, (3, 4, 6, 3)),
        101: (_BOTTLENECK, (3, 4, 23, 3)),
        152: (_BOTTLENECK, (3, 8, 36, 3)),
    }
    """Depth -> expansion of the blocks and their number in each stage."""
    variant_deep_stem: ClassVar[bool] = False
    variant_avg_down: ClassVar[bool] = False

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: Style = "pytorch",
        deep_stem: bool | None = None,
        avg_down: bool | None = None,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = BN,
        dcn: Cfg | None = None,
        stage_with_dcn: Sequence[bool] = (),
        plugins: Sequence[Cfg] | None = None,
        multi_grid: Sequence[int] | None = None,
        contract_dilation: bool = False,
        groups: int = 1,
        base_width: int = 4,
    ) -> None:
        super().__init__()
        check_stages(num_stages, strides, dilations, out_indices)
        if depth not in self.blocks:
            raise ConfigError(f"{type(self).__name__} has depth {', '.join(map(str, self.blocks))}, not {depth}")
        if plugins is not None or (dcn is not None and any(stage_with_dcn)):
            raise UnsupportedError("plugins and deformable convolutions (dcn) in a ResNet are not provided")
        self.out_indices = tuple(out_indices)
        self._add_stem(
            in_channels,
            stem_channels,
            deep=self.variant_deep_stem if deep_stem is None else deep_stem,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
        )
        expansion, counts = self.blocks[depth]
        grouping = {"groups": groups, "base_width": base_width, "base_channels": base_channels}
        block = self.block(expansion, {"style": style, **grouping})
        inplanes = stem_channels
        for i, (count, stride, dilation) in enumerate(zip(counts, strides, dilations, strict=False)):
            stage = residual_stage(
                block,
                inplanes,
                base_channels * 2**i,
                count,
                expansion=expansion,
                stride=stride,
                dilation=dilation,
                avg_down=self.variant_avg_down if avg_down is None else avg_down,
                # Upstream applies it to the last of the stages that are built, which need not be the fourth.
                multi_grid=multi_grid if i == num_stages - 1 else None,
                contract_dilation=contract_dilation,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
            )
            self.add_module(f"layer{i + 1}", stage)
            inplanes = base_channels * 2**i * expansion
        self.stage_names = [f"layer{i + 1}" for i in range(num_stages)]

    def block(self, expansion: int, options: dict[str, Any]) -> Callable[..., nn.Module]:
        """Return the builder of the network's blocks.

        Args:
            expansion: Of the blocks of this depth.
            options: Those of a bottleneck: ``style``, ``groups``, ``base_width``, ``base_channels``.
        """
        return BasicBlock if expansion == _BASIC else functools.partial(Bottleneck, **options)

    def _add_stem(self, in_channels: int, channels: int, *, deep: bool, conv_cfg: Cfg | None, norm_cfg: Cfg) -> None:
        self.stem: nn.Sequential | None = None
        if deep:
            self.stem = deep_stem_layers(in_channels, channels, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        else:
            self.conv1 = build_conv(conv_cfg, in_channels, channels, 7, stride=2, padding=3, bias=False)
            kind, norm = build_norm(norm_cfg, channels)
            self.stem_norm = f"{kind}1"
            self.add_module(self.stem_norm, norm)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def _run_stem(self, x: Tensor) -> Tensor:
        if self.stem is not None:
            return self.maxpool(self.stem(x))
        return self.maxpool(self.get_submodule(self.stem_norm)(self.conv1(x)).relu())

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> the maps of the stages at ``out_indices``, the first of a quarter of the size."""
        x = self._run_stem(x)
        maps = []
        for i, name in enumerate(self.stage_names):
            x = self.get_submodule(name)(x)
            if i in self.out_indices:
                maps.append(x)
        return tuple(maps)


@backbones.register
class ResNetV1c(ResNet):
    """`ResNet` with a deep stem."""

    variant_deep_stem = True


@backbones.register
class ResNetV1d(ResNet):
    """`ResNet` with a deep stem and averaging shortcuts."""

    variant_deep_stem = True
    variant_avg_down = True
