"""ConvNeXt, and ConvNeXt V2 with its response normalisation.

Source: A ConvNet for the 2020s (arXiv:2201.03545), ConvNeXt V2 (arXiv:2301.00808); upstream
``mmpretrain/models/backbones/convnext.py`` (Apache-2.0).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import nn

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean
from segship.core.spec import SizeRule
from segship.models.layers.activation import build_activation
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg

__all__ = ["ConvNeXt"]

_Arch: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Blocks of each stage, channels of each stage."""


def _doubling(channels: int, depths: tuple[int, ...] = (3, 3, 27, 3)) -> _Arch:
    return depths, tuple(channels * 2**stage for stage in range(4))


_ARCHS: dict[str, _Arch] = {
    "atto": _doubling(40, (2, 2, 6, 2)),
    "femto": _doubling(48, (2, 2, 6, 2)),
    "pico": _doubling(64, (2, 2, 6, 2)),
    "nano": _doubling(80, (2, 2, 8, 2)),
    "tiny": _doubling(96, (3, 3, 9, 3)),
    "small": _doubling(96),
    "base": _doubling(128),
    "large": _doubling(192),
    "xlarge": _doubling(256),
    "huge": _doubling(352),
}
_LAYER_NORM: Cfg = {"type": "LN2d", "eps": 1e-6}
_GELU: Cfg = {"type": "GELU"}


def _arch(arch: str | Mapping[str, Sequence[int]]) -> _Arch:
    """The architecture of that name, or the one a config spells out."""
    if isinstance(arch, Mapping):
        missing = [key for key in ("depths", "channels") if key not in arch]
        if missing:
            raise ConfigError(f"ConvNeXt's arch needs depths and channels; {' and '.join(missing)} missing")
        return tuple(arch["depths"]), tuple(arch["channels"])
    if arch not in _ARCHS:
        raise UnsupportedError(f"ConvNeXt has no architecture {arch!r}.{did_you_mean(arch, _ARCHS)}")
    return _ARCHS[arch]


class _LayerNorm2d(nn.LayerNorm):
    """Layer normalisation over the channels of a map."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _eps(norm_cfg: Cfg) -> float:
    if norm_cfg["type"] != "LN2d":
        raise UnsupportedError(f"ConvNeXt's normalisation is LN2d, not {norm_cfg['type']!r}")
    return float(norm_cfg.get("eps", 1e-5))


class _ResponseNorm(nn.Module):
    """Each channel weighed by its norm over the map, relative to the other channels' (GRN).

    Args:
        channels: Channels of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, H, W, C)."""
        norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        return self.gamma * (x * (norm / (norm.mean(-1, keepdim=True) + 1e-6))) + self.beta + x


class _Pointwise(nn.Conv2d):
    """A 1x1 convolution of maps whose channels come last."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, before) -> (N, H, W, after)."""
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _Block(nn.Module):
    """A 7x7 depthwise convolution, then a two-layer perceptron over the channels of each cell.

    Args:
        channels: Channels of the map.
        eps: Of the normalisation.
        act_cfg: Activation inside the perceptron.
        linear: Whether the perceptron's layers are stored as matrices, not as 1x1 convolutions.
        layer_scale: Whether a factor for each channel follows.
        use_grn: Whether the perceptron normalises its responses.
    """

    def __init__(
        self, channels: int, *, eps: float, act_cfg: Cfg, linear: bool, layer_scale: bool, use_grn: bool
    ) -> None:
        super().__init__()
        pointwise = nn.Linear if linear else _Pointwise
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=eps)
        self.pointwise_conv1 = pointwise(channels, 4 * channels)
        self.act = build_activation(act_cfg)
        self.grn = _ResponseNorm(4 * channels) if use_grn else None
        self.pointwise_conv2 = pointwise(4 * channels, channels)
        self.gamma = nn.Parameter(torch.ones(channels)) if layer_scale else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels, H, W)."""
        y = self.norm(self.depthwise_conv(x).permute(0, 2, 3, 1))
        y = self.act(self.pointwise_conv1(y))
        if self.grn is not None:
            y = self.grn(y)
        y = self.pointwise_conv2(y)
        if self.gamma is not None:
            y = y * self.gamma
        return x + y.permute(0, 3, 1, 2)


@backbones.register
class ConvNeXt(nn.Module):
    """Stages of depthwise convolutions with perceptrons; each map that is returned has a normalisation of its own.

    Args:
        arch: Name of the architecture, or ``{"depths": …, "channels": …}``.
        in_channels: Channels of the image.
        stem_patch_size: Side and step of the first convolution.
        norm_cfg: ``LN2d`` with its ``eps``.
        act_cfg: Activation of the blocks.
        linear_pw_conv: Whether the perceptrons are stored as matrices, not as 1x1 convolutions.
        use_grn: Whether the perceptrons normalise their responses (V2).
        layer_scale_init_value: Above 0: each block ends in a factor for each channel.
        out_indices: Stages whose maps are returned; negative counts from the end.
        gap_before_final_norm: Whether the returned maps are averaged to vectors; only classification does that.

    Raises:
        ConfigError: The maps would be averaged, or ``arch`` is incomplete.
        UnsupportedError: The architecture or the normalisation is unknown.
    """

    def __init__(
        self,
        *,
        arch: str | Mapping[str, Sequence[int]] = "tiny",
        in_channels: int = 3,
        stem_patch_size: int = 4,
        norm_cfg: Cfg = _LAYER_NORM,
        act_cfg: Cfg = _GELU,
        linear_pw_conv: bool = True,
        use_grn: bool = False,
        layer_scale_init_value: float = 1e-6,
        out_indices: int | Sequence[int] = -1,
        gap_before_final_norm: bool = True,
    ) -> None:
        super().__init__()
        if gap_before_final_norm:
            raise ConfigError("ConvNeXt would average its maps away: segmentation needs gap_before_final_norm=False")
        depths, channels = _arch(arch)
        eps = _eps(norm_cfg)
        indices = [out_indices] if isinstance(out_indices, int) else out_indices
        self.out_indices = [index % len(depths) for index in indices]
        least = stem_patch_size * 2 ** (len(depths) - 1)
        self.sizes = SizeRule(minimum=(least, least))  # below it nothing is left for the last step down
        stem = nn.Conv2d(in_channels, channels[0], stem_patch_size, stem_patch_size)
        self.downsample_layers = nn.ModuleList([nn.Sequential(stem, _LayerNorm2d(channels[0], eps=eps))])
        for before, after in itertools.pairwise(channels):
            self.downsample_layers.append(nn.Sequential(_LayerNorm2d(before, eps=eps), nn.Conv2d(before, after, 2, 2)))

        def block(width: int) -> _Block:
            return _Block(
                width,
                eps=eps,
                act_cfg=act_cfg,
                linear=linear_pw_conv,
                layer_scale=layer_scale_init_value > 0,
                use_grn=use_grn,
            )

        stages = zip(depths, channels, strict=True)
        self.stages = nn.ModuleList([nn.Sequential(*[block(width) for _ in range(depth)]) for depth, width in stages])
        for index in self.out_indices:
            self.add_module(f"norm{index}", _LayerNorm2d(channels[index], eps=eps))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, in_channels, H, W) -> one map for each of ``out_indices``, in ascending order.

        Stage ``i`` has ``channels[i]`` channels and 1 / (stem_patch_size * 2**i) the size.
        """
        maps = []
        for index, (downsample, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(downsample(x))
            if index in self.out_indices:
                maps.append(self.get_submodule(f"norm{index}")(x))
        return tuple(maps)
