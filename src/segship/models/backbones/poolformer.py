"""PoolFormer: a transformer whose attention is an average over a 3x3 neighbourhood.

Source: MetaFormer Is Actually What You Need for Vision (arXiv:2111.11418); upstream
``mmpretrain/models/backbones/poolformer.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.core.errors import ConfigError, did_you_mean
from segship.models.layers.activation import build_activation
from segship.models.layers.conv import Cfg, build_norm
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["PoolFormer"]

_GN: Cfg = {"type": "GN", "num_groups": 1}
_GELU: Cfg = {"type": "GELU"}
_SMALL, _MEDIUM = (64, 128, 320, 512), (96, 192, 384, 768)
_ARCHS: dict[str, dict[str, tuple[int, ...]]] = {
    "s12": {"layers": (2, 2, 6, 2), "embed_dims": _SMALL},
    "s24": {"layers": (4, 4, 12, 4), "embed_dims": _SMALL},
    "s36": {"layers": (6, 6, 18, 6), "embed_dims": _SMALL},
    "m36": {"layers": (6, 6, 18, 6), "embed_dims": _MEDIUM},
    "m48": {"layers": (8, 8, 24, 8), "embed_dims": _MEDIUM},
}


class _Embedding(nn.Module):
    """A strided convolution."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, channels, H', W')."""
        return self.proj(x)


class _Mlp(nn.Module):
    """Two 1x1 convolutions."""

    def __init__(self, channels: int, hidden: int, act_cfg: Cfg) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.act = build_activation(act_cfg)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.fc2(self.act(self.fc1(x)))


class _Block(nn.Module):
    """Pooling and MLP, each behind a normalisation, scaled channel by channel and added."""

    def __init__(self, channels: int, *, pool_size: int, mlp_ratio: float, norm_cfg: Cfg, act_cfg: Cfg) -> None:
        super().__init__()
        self.norm1 = build_norm(norm_cfg, channels)[1]
        self.pool = nn.AvgPool2d(pool_size, stride=1, padding=pool_size // 2, count_include_pad=False)
        self.norm2 = build_norm(norm_cfg, channels)[1]
        self.mlp = _Mlp(channels, int(channels * mlp_ratio), act_cfg)
        self.layer_scale_1 = nn.Parameter(torch.ones(channels))
        self.layer_scale_2 = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        y = self.norm1(x)
        x = x + self.layer_scale_1[:, None, None] * (self.pool(y) - y)
        return x + self.layer_scale_2[:, None, None] * self.mlp(self.norm2(x))


@backbones.register
class PoolFormer(nn.Module):
    """PoolFormer; its maps are those at ``out_indices`` of (stage, embedding, stage, …), each normalised.

    Args:
        arch: ``"s12"``, ``"s24"``, ``"s36"``, ``"m36"``, ``"m48"``, or a mapping with ``layers`` and ``embed_dims`` and
            perhaps ``mlp_ratios``.
        pool_size: Side of the neighbourhood.
        norm_cfg, act_cfg: Kind of normalisation and of the MLPs' activation.
        in_patch_size, in_stride, in_pad: Of the convolution before the first stage.
        down_patch_size, down_stride, down_pad: Of those between stages.
        out_indices: Positions returned: 0, 2, 4, 6 are the stages; negative counts from the end.

    Raises:
        ConfigError: The architecture is unknown.
    """

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = "s12",
        pool_size: int = 3,
        norm_cfg: Cfg = _GN,
        act_cfg: Cfg = _GELU,
        in_patch_size: int = 7,
        in_stride: int = 4,
        in_pad: int = 2,
        down_patch_size: int = 3,
        down_stride: int = 2,
        down_pad: int = 1,
        out_indices: int | Sequence[int] = -1,
    ) -> None:
        super().__init__()
        if isinstance(arch, str):
            if arch not in _ARCHS:
                raise ConfigError(f"no PoolFormer is called {arch!r}.{did_you_mean(arch, _ARCHS)}")
            arch = _ARCHS[arch]
        widths, depths = arch["embed_dims"], arch["layers"]
        ratios = arch.get("mlp_ratios", (4, 4, 4, 4))

        def stage(i: int) -> nn.Sequential:
            blocks = [
                _Block(widths[i], pool_size=pool_size, mlp_ratio=ratios[i], norm_cfg=norm_cfg, act_cfg=act_cfg)
                for _ in range(depths[i])
            ]
            return nn.Sequential(*blocks)

        self.patch_embed = _Embedding(3, widths[0], in_patch_size, in_stride, in_pad)
        self.network = nn.ModuleList([stage(0)])
        for i in range(1, len(depths)):
            if widths[i - 1] != widths[i]:
                down = _Embedding(widths[i - 1], widths[i], down_patch_size, down_stride, down_pad)
                self.network.append(down)
            self.network.append(stage(i))
        indices = [out_indices] if isinstance(out_indices, int) else out_indices
        self.out_indices = tuple(index + 7 if index < 0 else index for index in indices)
        for index in self.out_indices:
            self.add_module(f"norm{index}", build_norm(norm_cfg, widths[(index + 1) // 2])[1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, H, W) -> the normalised maps at ``out_indices``, from 1/4 down to 1/32."""
        x = self.patch_embed(x)
        maps = []
        for i, part in enumerate(self.network):
            x = part(x)
            if i in self.out_indices:
                maps.append(self.get_submodule(f"norm{i}")(x))
        return tuple(maps)
