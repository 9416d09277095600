"""Positions of a map's cells as sines and cosines of many wavelengths.

Source: DETR (arXiv:2005.12872); upstream ``mmdet/models/layers/positional_encoding.py`` (Apache-2.0).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from segship.models.layers.tokens import Size

__all__ = ["SinePositionalEncoding"]


class SinePositionalEncoding(nn.Module):
    """Encodes the row in the first half of the channels and the column in the second; it has no weights.

    Args:
        num_feats: Channels of each half; even.
        temperature: Ratio of the longest wavelength to the shortest.
        normalize: Whether positions are divided by the map's size.
        scale: Position of the last row and column when ``normalize``.
        eps: Added to the size that positions are divided by.
        offset: Added to a position before it is divided; rows and columns count from 1.
    """

    def __init__(
        self,
        num_feats: int,
        *,
        temperature: float = 10000,
        normalize: bool = False,
        scale: float = 2 * math.pi,
        eps: float = 1e-6,
        offset: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_feats = num_feats
        self.temperature = temperature
        self.normalize = normalize
        self.scale = scale
        self.eps = eps
        self.offset = offset

    def _axis(self, length: int, like: Tensor) -> Tensor:
        """(length, num_feats)."""
        position = torch.arange(1, length + 1, dtype=like.dtype, device=like.device)
        if self.normalize:
            position = (position + self.offset) / (position[-1:] + self.eps) * self.scale
        pair = torch.arange(self.num_feats // 2, dtype=like.dtype, device=like.device)
        angle = position[:, None] / self.temperature ** (2 * pair / self.num_feats)
        return torch.stack((angle.sin(), angle.cos()), dim=2).flatten(1)

    def forward(self, size: Size, like: Tensor) -> Tensor:
        """The encoding of a map.

        Args:
            size: (H, W).
            like: Gives the type and device.

        Returns:
            (1, H*W, 2 * num_feats), row after row.
        """
        height, width = size
        rows = self._axis(height, like)[:, None].expand(-1, width, -1)
        columns = self._axis(width, like)[None].expand(height, -1, -1)
        return torch.cat((rows, columns), dim=2).flatten(0, 1)[None]
