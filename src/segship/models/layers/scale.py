"""A learnt factor (mmcv ``Scale``, Apache-2.0)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Scale"]


class Scale(nn.Module):
    """Multiplies by one number.

    Args:
        scale: Its value before a checkpoint is loaded.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise; any shape."""
        return x * self.scale
