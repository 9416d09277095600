"""MAE's transformer: BEiT's with a learned embedding of positions and a bias on all projections.

Source: Masked Autoencoders (arXiv:2111.06377); upstream ``mmseg/models/backbones/mae.py`` (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from segship.models.backbones.beit import BEiT
from segship.models.layers.transformer import GELU, LAYER_NORM
from segship.models.registry import backbones

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.models.layers.conv import Cfg
    from segship.models.layers.tokens import Size

__all__ = ["MAE"]


@backbones.register
class MAE(BEiT):
    """A plain transformer over the patches of an image of one size; every map has the patches' stride.

    Args:
        img_size, patch_size, in_channels, embed_dims, num_layers, num_heads, mlp_ratio, out_indices: As `BEiT`.
        norm_cfg, act_cfg, patch_norm, final_norm, num_fcs, init_values: As `BEiT`.
    """

    _bias = True  # of queries, keys and values

    def __init__(
        self,
        *,
        img_size: int | Sequence[int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        mlp_ratio: int = 4,
        out_indices: int | Sequence[int] = -1,
        norm_cfg: Cfg = LAYER_NORM,
        act_cfg: Cfg = GELU,
        patch_norm: bool = False,
        final_norm: bool = False,
        num_fcs: int = 2,
        init_values: float = 0.1,
    ) -> None:
        super().__init__(
            img_size=img_size,
            patch_size=patch_size,
            in_channels=in_channels,
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            out_indices=out_indices,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            patch_norm=patch_norm,
            final_norm=final_norm,
            num_fcs=num_fcs,
            init_values=init_values,
        )
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1] + 1, embed_dims))

    def _embed(self, x: Tensor) -> tuple[Tensor, Size]:
        x, size = super()._embed(x)
        return x + self.pos_embed, size
