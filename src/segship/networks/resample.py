"""Resizing and pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Size, Tensor

__all__ = ["AdaptiveAvgPool2d", "adaptive_avg_pool2d", "resize"]


def resize(
    x: Tensor,
    size: Sequence[int] | Size,
    mode: Literal["bilinear", "nearest", "bicubic"] = "bilinear",
    *,
    align_corners: bool = False,
) -> Tensor:
    """Resize feature maps.

    Args:
        x: (N, C, H, W).
        size: Target (height, width); may be symbolic while a network is captured.
        mode: Interpolation; ``align_corners`` does not apply to ``"nearest"``.
        align_corners: Whether the corner pixels' centres coincide.

    Returns:
        (N, C, *size).
    """
    if mode == "nearest":
        return F.interpolate(x, size=list(size), mode=mode)
    return F.interpolate(x, size=list(size), mode=mode, align_corners=align_corners)


def adaptive_avg_pool2d(x: Tensor, bins: int | tuple[int, int]) -> Tensor:
    """Adaptive average pooling; what is captured of it is exact in every engine.

    Args:
        x: (N, C, H, W), H and W possibly symbolic.
        bins: Output (height, width).

    Returns:
        (N, C, *bins).
    """
    rows, columns = (bins, bins) if isinstance(bins, int) else bins
    if (rows, columns) == (1, 1):
        return x.mean((2, 3), keepdim=True)
    return F.adaptive_avg_pool2d(x, (rows, columns))


class AdaptiveAvgPool2d(nn.Module):
    """`adaptive_avg_pool2d` as a module without parameters.

    Args:
        output_size: Output size; int or (height, width).
    """

    def __init__(self, output_size: int | tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, *output_size)."""
        return adaptive_avg_pool2d(x, self.output_size)
