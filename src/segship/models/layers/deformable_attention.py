"""Multi-scale deformable attention: each query reads a few points of each of several maps, at places it computes.

Source: Deformable DETR (arXiv:2010.04159); names from mmcv ``ops/multi_scale_deform_attn.py`` and mmdet
``models/layers/transformer/deformable_detr_layers.py`` (Apache-2.0). Sampling is ``grid_sample``, an operator that
engines have, in place of mmcv's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from segship.core.errors import ConfigError
from segship.models.layers.attention import split_heads
from segship.models.layers.detr import DetrFFN, norms
from segship.models.layers.nested import build_nested
from segship.models.layers.transformer import LAYER_NORM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["DeformableEncoder", "Levels", "MultiScaleDeformableAttention"]


class Levels(NamedTuple):
    """The maps whose tokens a sequence holds one after the other, and where their cells' centres lie."""

    sizes: list[Size]
    """(H, W) of each map."""
    extents: list[Tensor]
    """W and H of each map as a tensor (2,)."""
    centres: Tensor
    """x and y of every token's centre, from 0 to 1 across its map, (tokens, 2)."""

    @classmethod
    def of(cls, sizes: Sequence[Size], like: Tensor) -> Levels:
        """The levels of maps of these sizes; ``like`` gives the type and device."""
        extents, centres = [], []
        for height, width in sizes:
            y, x = (torch.arange(1, n + 1, dtype=like.dtype, device=like.device) for n in (height, width))
            extents.append(torch.cat((x[-1:], y[-1:])))
            y, x = ((axis - 0.5) / axis[-1:] for axis in (y, x))
            grid = torch.stack((x[None].expand(height, -1), y[:, None].expand(-1, width)), dim=2)
            centres.append(grid.flatten(0, 1))
        return cls(list(sizes), extents, torch.cat(centres))

    def split(self, x: Tensor, dim: int) -> tuple[Tensor, ...]:
        """A sequence cut into the levels' along ``dim``."""
        return torch.split(x, [height * width for height, width in self.sizes], dim=dim)


class MultiScaleDeformableAttention(nn.Module):
    """Each token reads ``num_points`` points of each level around its own place, beside a residual connection.

    Args:
        embed_dims: Width of the tokens.
        num_heads: Number of heads.
        num_levels: Number of maps.
        num_points: Points that a head reads of each map.
        value_proj_ratio: Width of the values over that of the tokens.

    Raises:
        ConfigError: The widths cannot be divided among the heads.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        *,
        value_proj_ratio: float = 1.0,
        norm_cfg: Cfg | None = None,  # upstream takes it and does nothing with it
    ) -> None:
        super().__init__()
        values = int(embed_dims * value_proj_ratio)
        if embed_dims % num_heads or values % num_heads:
            raise ConfigError(f"{embed_dims} channels cannot be divided among {num_heads} attention heads")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        points = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(embed_dims, 2 * points)
        self.attention_weights = nn.Linear(embed_dims, points)
        self.value_proj = nn.Linear(embed_dims, values)
        self.output_proj = nn.Linear(values, embed_dims)

    def _by_head(self, x: Tensor) -> Tensor:
        """(N, L, heads * C) -> (N * heads, L, C)."""
        return split_heads(x, self.num_heads).flatten(0, 1)

    def _read(self, values: Tensor, size: Size, places: Tensor) -> Tensor:
        """What each token finds at its places of one level.

        Args:
            values: (N, C, H*W).
            size: (H, W).
            places: (N * heads, L, num_points, 2), x and y from 0 to 1 across the map; beyond it lies 0.

        Returns:
            (N * heads, C / heads, L, num_points).
        """
        maps = torch.unflatten(values, 1, (self.num_heads, values.shape[1] // self.num_heads)).flatten(0, 1)
        return F.grid_sample(torch.unflatten(maps, 2, size), 2 * places - 1, align_corners=False)

    def forward(self, x: Tensor, position: Tensor, levels: Levels) -> Tensor:
        """Tokens (N, L, C) of all levels and their positions, broadcastable to them -> (N, L, C)."""
        query = x + position
        values = levels.split(self.value_proj(x).transpose(1, 2), dim=2)
        offsets = self._by_head(self.sampling_offsets(query)).chunk(self.num_levels, dim=2)
        weights = self._by_head(self.attention_weights(query)).softmax(-1)
        found = []
        for value, size, extent, offset in zip(values, levels.sizes, levels.extents, offsets, strict=True):
            places = levels.centres[:, None] + torch.unflatten(offset, 2, (self.num_points, 2)) / extent
            found.append(self._read(value, size, places))
        read = (torch.cat(found, dim=3) * weights[:, None]).sum(-1)
        # Contiguous, so that the product below is computed as upstream does: the masks made of this magnify rounding.
        joined = torch.unflatten(read, 0, (-1, self.num_heads)).flatten(1, 2).transpose(1, 2).contiguous()
        return x + self.output_proj(joined)


class _EncoderLayer(nn.Module):
    """Deformable attention among the tokens of all levels, then the feed-forward network."""

    def __init__(self, *, self_attn_cfg: Cfg, ffn_cfg: Cfg, norm_cfg: Cfg = LAYER_NORM) -> None:
        super().__init__()
        self.self_attn = build_nested(MultiScaleDeformableAttention, self_attn_cfg)
        self.ffn = build_nested(DetrFFN, ffn_cfg)
        self.norms = norms(norm_cfg, self.self_attn.embed_dims, 2)

    def forward(self, x: Tensor, position: Tensor, levels: Levels) -> Tensor:
        """(N, L, C) -> (N, L, C)."""
        x = self.norms[0](self.self_attn(x, position, levels))
        return self.norms[1](self.ffn(x))


class DeformableEncoder(nn.Module):
    """Encoder layers with deformable attention one after the other.

    Args:
        num_layers: How many.
        layer_cfg: ``self_attn_cfg`` (`MultiScaleDeformableAttention`), ``ffn_cfg`` (`DetrFFN`) and ``norm_cfg`` of
            each.
    """

    def __init__(self, *, num_layers: int, layer_cfg: Cfg) -> None:
        super().__init__()
        layers = [build_nested(_EncoderLayer, layer_cfg) for _ in range(num_layers)]
        self.layers = nn.ModuleList(layers)
        self.num_levels = layers[0].self_attn.num_levels

    def forward(self, x: Tensor, position: Tensor, levels: Levels) -> Tensor:
        """Tokens (N, L, C) of all levels and their positions, broadcastable to them -> (N, L, C)."""
        for layer in self.layers:
            x = layer(x, position, levels)
        return x
