"""HRNet: branches of several resolutions side by side, which exchange their maps again and again.

Source: HRNet (arXiv:1904.04514); upstream ``mmseg/models/backbones/hrnet.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.conv import Cfg, build_conv, build_norm
from segship.models.layers.residual import BN, BasicBlock, Bottleneck, residual_stage
from segship.models.layers.upsample import Upsample
from segship.models.registry import backbones
from segship.networks.resample import resize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

__all__ = ["HRNet"]

_BLOCKS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "BASIC": (BasicBlock, BasicBlock.expansion),
    "BOTTLENECK": (Bottleneck, Bottleneck.expansion),
}
_STEM = 64


class _Layers:
    """Builds the network's convolutions, which all have the same kind of normalisation."""

    def __init__(self, conv_cfg: Cfg | None, norm_cfg: Cfg) -> None:
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg

    def conv(self, before: int, after: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        """A convolution and its normalisation."""
        padding = kernel // 2
        conv = build_conv(self.conv_cfg, before, after, kernel, stride=stride, padding=padding, bias=False)
        return [conv, build_norm(self.norm_cfg, after)[1]]

    def blocks(self, kind: str, inplanes: int, planes: int, count: int) -> nn.Sequential:
        """Residual blocks of stride 1."""
        block, expansion = _BLOCKS[kind]
        return residual_stage(
            block, inplanes, planes, count, expansion=expansion, conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg
        )

    def down(self, before: int, after: int, steps: int, *, last_relu: bool) -> nn.Sequential:
        """Convolutions of stride 2; only the last one changes the channels."""
        widths = [before] * steps + [after]
        sequences = []
        for i, (width, following) in enumerate(itertools.pairwise(widths)):
            layers = self.conv(width, following, 3, stride=2)
            sequences.append(nn.Sequential(*layers, *([nn.ReLU()] if last_relu or i < steps - 1 else [])))
        return nn.Sequential(*sequences)


class _Exchange(nn.Module):
    """Residual blocks in each branch; then each branch receives the sum of all, brought to its size (``HRModule``)."""

    def __init__(self, stage: Mapping[str, Any], *, outputs: int, layers: _Layers) -> None:
        super().__init__()
        expansion = _BLOCKS[stage["block"]][1]
        widths = [planes * expansion for planes in stage["num_channels"]]
        self.branches = nn.ModuleList(
            layers.blocks(stage["block"], width, planes, count)
            for width, planes, count in zip(widths, stage["num_channels"], stage["num_blocks"], strict=True)
        )

        def path(source: int, target: int) -> nn.Module:
            if source == target:
                return nn.Identity()
            if source < target:
                return layers.down(widths[source], widths[target], target - source, last_relu=False)
            return nn.Sequential(*layers.conv(widths[source], widths[target], 1), Upsample(2 ** (source - target)))

        self.fuse_layers: nn.ModuleList | None = None
        if len(widths) > 1:
            self.fuse_layers = nn.ModuleList(
                nn.ModuleList(path(source, target) for source in range(len(widths))) for target in range(outputs)
            )

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """One map for each branch -> one for each output, of the same sizes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        if self.fuse_layers is None:
            return maps
        fused = []
        for target, paths in enumerate(self.fuse_layers):
            terms = [path(x) for path, x in zip(paths.children(), maps, strict=True)]
            # Doubling misses the target's size by a pixel or more where a side was odd on the way down.
            size = maps[target].shape[2:]
            terms = [x if source <= target else resize(x, size) for source, x in enumerate(terms)]
            fused.append(sum(terms[1:], terms[0]).relu())
        return fused


@backbones.register
class HRNet(nn.Module):
    """HRNet; its maps are those of the fourth stage's branches, from 1/4 of the size downwards.

    Args:
        extra: ``stage1`` to ``stage4``, each with ``num_modules``, ``num_branches``, ``block`` (``"BASIC"`` or
            ``"BOTTLENECK"``), ``num_blocks`` and ``num_channels`` (one number for each branch).
        in_channels: Channels of the image.
        multiscale_output: Whether all branches' maps are returned, or the largest alone.
        conv_cfg, norm_cfg: As `ConvModule`.

    Raises:
        ConfigError: A stage is missing or does not describe each of its branches.
    """

    def __init__(
        self,
        extra: Mapping[str, Mapping[str, Any]],
        in_channels: int = 3,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = BN,
        multiscale_output: bool = True,
    ) -> None:
        super().__init__()
        stages = _check(extra)
        layers = _Layers(conv_cfg, norm_cfg)
        self.conv1, norm1 = layers.conv(in_channels, _STEM, 3, stride=2)
        self.conv2, norm2 = layers.conv(_STEM, _STEM, 3, stride=2)
        kind = build_norm(norm_cfg, _STEM)[0]
        self.norm_names = [f"{kind}1", f"{kind}2"]
        self.add_module(self.norm_names[0], norm1)
        self.add_module(self.norm_names[1], norm2)
        first = stages[0]
        self.layer1 = layers.blocks(first["block"], _STEM, first["num_channels"][0], first["num_blocks"][0])
        before = [first["num_channels"][0] * _BLOCKS[first["block"]][1]]
        for number, stage in enumerate(stages[1:], start=1):
            widths = [planes * _BLOCKS[stage["block"]][1] for planes in stage["num_channels"]]
            self.add_module(f"transition{number}", _transition(before, widths, layers))
            outputs = [len(widths)] * stage["num_modules"]
            if number == 3 and not multiscale_output:
                outputs[-1] = 1
            modules = [_Exchange(stage, outputs=count, layers=layers) for count in outputs]
            self.add_module(f"stage{number + 1}", nn.Sequential(*modules))
            before = widths

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> one map for each branch, the first of a quarter of the size."""
        norm1, norm2 = (self.get_submodule(name) for name in self.norm_names)
        x = norm2(self.conv2(norm1(self.conv1(x)).relu())).relu()
        maps = [self.layer1(x)]
        for number in (1, 2, 3):
            # A branch that goes on unchanged takes its own map; one that is new or changes width, the smallest map.
            inputs = [
                maps[i] if isinstance(path, nn.Identity) else path(maps[-1])
                for i, path in enumerate(self.get_submodule(f"transition{number}").children())
            ]
            maps = self.get_submodule(f"stage{number + 1}")(inputs)
        return tuple(maps)


def _transition(before: Sequence[int], after: Sequence[int], layers: _Layers) -> nn.ModuleList:
    """What brings the maps of one stage to the widths of the next, and starts its new branches."""
    paths: list[nn.Module] = []
    for i, width in enumerate(after):
        if i >= len(before):
            paths.append(layers.down(before[-1], width, i + 1 - len(before), last_relu=True))
        elif width == before[i]:
            paths.append(nn.Identity())
        else:
            paths.append(nn.Sequential(*layers.conv(before[i], width, 3), nn.ReLU()))
    return nn.ModuleList(paths)


def _check(extra: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The four stages' descriptions."""
    names = [f"stage{number}" for number in (1, 2, 3, 4)]
    missing = [name for name in names if name not in extra]
    if missing:
        raise ConfigError(f"HRNet's extra describes stage1 to stage4; {', '.join(missing)} is missing")
    for name in names:
        stage = extra[name]
        if stage["block"] not in _BLOCKS:
            raise ConfigError(f"{name}'s block is {' or '.join(_BLOCKS)}, not {stage['block']!r}")
        if not len(stage["num_blocks"]) == len(stage["num_channels"]) == stage["num_branches"]:
            raise ConfigError(
                f"{name} has {stage['num_branches']} branches; num_blocks and num_channels must give a number for each"
            )
    return [extra[name] for name in names]
