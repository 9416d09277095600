"""Bilinear enlargement by a whole factor, as a part of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.networks.resample import resize

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Upsample"]


class Upsample(nn.Module):
    """Enlarges maps bilinearly.

    Args:
        factor: By how much both sides grow.
        align_corners: Whether the corner pixels' centres coincide.
    """

    def __init__(self, factor: int, *, align_corners: bool = False) -> None:
        super().__init__()
        self.factor = factor
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, factor * H, factor * W)."""
        size = (self.factor * x.shape[2], self.factor * x.shape[3])
        return resize(x, size, align_corners=self.align_corners)
