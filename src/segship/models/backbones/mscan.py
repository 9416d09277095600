"""MSCAN, the backbone of SegNeXt: attention made of depthwise strip convolutions of several lengths.

Source: SegNeXt (arXiv:2209.08575); upstream ``mmseg/models/backbones/mscan.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.activation import build_activation
from segship.models.layers.conv import Cfg, build_norm
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["MSCAN"]

_BN: Cfg = {"type": "BN"}
_GELU: Cfg = {"type": "GELU"}
_KERNELS = (5, (1, 7), (1, 11), (1, 21))
_PADDINGS = (2, (0, 3), (0, 5), (0, 10))
_STRIPS = ("conv0", "conv1", "conv2")


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


class _Stem(nn.Module):
    """Two convolutions of stride 2, with a GELU between whatever the config says, as upstream."""

    def __init__(self, channels: int, norm_cfg: Cfg) -> None:
        super().__init__()
        half = channels // 2
        self.proj = nn.Sequential(
            nn.Conv2d(3, half, 3, stride=2, padding=1),
            build_norm(norm_cfg, half)[1],
            nn.GELU(),
            nn.Conv2d(half, channels, 3, stride=2, padding=1),
            build_norm(norm_cfg, channels)[1],
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, channels, H / 4, W / 4)."""
        return self.proj(x)


class _Embedding(nn.Module):
    """One convolution of stride 2 and a normalisation."""

    def __init__(self, in_channels: int, channels: int, norm_cfg: Cfg) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)
        self.norm = build_norm(norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H / 2, W / 2)."""
        return self.norm(self.proj(x))


class _StripAttention(nn.Module):
    """A depthwise filter, the same filtered by pairs of strips, their sum mixed; the map times that."""

    def __init__(
        self, channels: int, kernels: Sequence[int | Sequence[int]], paddings: Sequence[int | Sequence[int]]
    ) -> None:
        super().__init__()

        def depthwise(kernel: tuple[int, int], padding: tuple[int, int]) -> nn.Conv2d:
            return nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels)

        self.conv0 = depthwise(_pair(kernels[0]), _pair(paddings[0]))
        for name, kernel, padding in zip(_STRIPS, kernels[1:], paddings[1:], strict=True):
            self.add_module(f"{name}_1", depthwise(_pair(kernel), _pair(padding)))
            self.add_module(f"{name}_2", depthwise(_pair(kernel)[::-1], _pair(padding)[::-1]))
        self.conv3 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        base = total = self.conv0(x)
        for name in _STRIPS:
            total = total + self.get_submodule(f"{name}_2")(self.get_submodule(f"{name}_1")(base))
        return self.conv3(total) * x


class _SpatialAttention(nn.Module):
    """Strip attention between two 1x1 convolutions, with a shortcut."""

    def __init__(
        self,
        channels: int,
        kernels: Sequence[int | Sequence[int]],
        paddings: Sequence[int | Sequence[int]],
        act_cfg: Cfg,
    ) -> None:
        super().__init__()
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.activation = build_activation(act_cfg)
        self.spatial_gating_unit = _StripAttention(channels, kernels, paddings)
        self.proj_2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.proj_2(self.spatial_gating_unit(self.activation(self.proj_1(x)))) + x


class _Mlp(nn.Module):
    """Two 1x1 convolutions with a depthwise 3x3 one between."""

    def __init__(self, channels: int, hidden: int, act_cfg: Cfg) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = build_activation(act_cfg)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.fc2(self.act(self.dwconv(self.fc1(x))))


class _Block(nn.Module):
    """Attention and MLP, each behind a normalisation, scaled channel by channel and added."""

    def __init__(self, channels: int, attention: nn.Module, *, mlp_ratio: float, norm_cfg: Cfg, act_cfg: Cfg) -> None:
        super().__init__()
        self.norm1 = build_norm(norm_cfg, channels)[1]
        self.attn = attention
        self.norm2 = build_norm(norm_cfg, channels)[1]
        self.mlp = _Mlp(channels, int(channels * mlp_ratio), act_cfg)
        self.layer_scale_1 = nn.Parameter(torch.ones(channels))
        self.layer_scale_2 = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        x = x + self.layer_scale_1[:, None, None] * self.attn(self.norm1(x))
        return x + self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x))


@backbones.register
class MSCAN(nn.Module):
    """MSCAN, which returns the maps of the stages, at 1/4 to 1/32.

    Args:
        in_channels: Channels of the image; only 3 works, as upstream.
        embed_dims, mlp_ratios, depths: Channels, widening in the MLPs and number of blocks of each stage.
        num_stages: Number of stages.
        attention_kernel_sizes, attention_kernel_paddings: Of the attention's first filter and its three strips.
        act_cfg, norm_cfg: Kind of activation and normalisation in the blocks.

    Raises:
        ConfigError: ``in_channels`` is not 3, or there are not four kernels and paddings.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: Sequence[int] = (64, 128, 256, 512),
        mlp_ratios: Sequence[float] = (4, 4, 4, 4),
        depths: Sequence[int] = (3, 4, 6, 3),
        num_stages: int = 4,
        attention_kernel_sizes: Sequence[int | Sequence[int]] = _KERNELS,
        attention_kernel_paddings: Sequence[int | Sequence[int]] = _PADDINGS,
        act_cfg: Cfg = _GELU,
        norm_cfg: Cfg = _BN,
    ) -> None:
        super().__init__()
        counts = (len(attention_kernel_sizes), len(attention_kernel_paddings))
        if in_channels != 3 or counts != (4, 4):
            raise ConfigError(
                "MSCAN takes 3 channels and four attention kernels and paddings, "
                f"not {in_channels}, {counts[0]} and {counts[1]}"
            )
        self.num_stages = num_stages

        def block(width: int, ratio: float) -> _Block:
            attention = _SpatialAttention(width, attention_kernel_sizes, attention_kernel_paddings, act_cfg)
            return _Block(width, attention, mlp_ratio=ratio, norm_cfg=norm_cfg, act_cfg=act_cfg)

        for i in range(num_stages):
            width = embed_dims[i]
            embed = _Embedding(embed_dims[i - 1], width, norm_cfg) if i else _Stem(width, norm_cfg)
            blocks = nn.Sequential(*[block(width, mlp_ratios[i]) for _ in range(depths[i])])
            self.add_module(f"patch_embed{i + 1}", embed)
            self.add_module(f"block{i + 1}", blocks)
            self.add_module(f"norm{i + 1}", nn.LayerNorm(width))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> the maps of all stages, each normalised."""
        maps = []
        for i in range(1, self.num_stages + 1):
            x = self.get_submodule(f"block{i}")(self.get_submodule(f"patch_embed{i}")(x))
            x = self.get_submodule(f"norm{i}")(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            maps.append(x)
        return tuple(maps)
