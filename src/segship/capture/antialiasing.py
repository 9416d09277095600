"""A resize with antialiasing as a product with the weights of each axis, which every engine computes alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

__all__ = ["cubic", "resized", "triangle"]


def resized(maps: Tensor, height: int, width: int, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """Resize as ``interpolate(…, antialias=True)`` does.

    Args:
        maps: (N, C, H, W).
        height: Of the result, also one that a graph leaves free.
        width: Likewise.
        kernel: `triangle` for bilinear, `cubic` for bicubic.
    """
    rows, columns = _weights(maps.shape[2], height, kernel), _weights(maps.shape[3], width, kernel)
    return rows @ maps @ columns.transpose(0, 1)


def _weights(old: int, new: int, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """The weights (new, old) of one axis."""
    scale = torch.full((1,), float(old)) / new
    centres = (torch.arange(new).float() + 0.5)[:, None] * scale
    distances = ((torch.arange(old).float() + 0.5)[None, :] - centres).abs()
    weights = kernel(distances / scale.clamp(min=1.0))
    return weights / weights.sum(1, keepdim=True)


def triangle(x: Tensor) -> Tensor:
    """The kernel of bilinear, of distances (float32) that are not negative."""
    return (1 - x).clamp(min=0.0)


def cubic(x: Tensor) -> Tensor:
    """Keys' kernel with a = -1/2, of distances that are not negative: one cubic up to 1, another up to 2."""
    near, far = x.clamp(max=1.0), x.clamp(min=1.0, max=2.0)
    inner = (1.5 * near - 2.5) * near * near + 1
    outer = ((-0.5 * far + 2.5) * far - 4) * far + 2
    return inner + outer  # each is zero where the other counts
