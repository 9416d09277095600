"""torchvision's antialiased resize of bytes, bit for bit: Pillow's filters with weights of 16 bits, columns first.

torch chooses how many bits a fraction has by the largest weight of an axis, so that it fits into 16 bits
(``compute_index_ranges_int16_weights`` of its ``UpSampleKernel``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["resize_as_torchvision"]

_MOST_BITS = 22
_MOST = 2**15


def resize_as_torchvision(image: NDArray[np.uint8], size: tuple[int, int], *, cubic: bool) -> NDArray[np.uint8]:
    """Resize an image as ``torchvision.transforms.v2.functional.resize`` does with antialiasing.

    Args:
        image: uint8 (H, W, C).
        size: (height, width) of the result.
        cubic: Bicubic instead of bilinear.

    Returns:
        uint8 (height, width, C).
    """
    for axis in (1, 0):
        if image.shape[axis] != size[axis]:
            image = _filtered(image, axis, size[axis], cubic=cubic)
    return image


def _filtered(image: NDArray[np.uint8], axis: int, positions: int, *, cubic: bool) -> NDArray[np.uint8]:
    """One axis at a length, rounded to bytes."""
    cells, weights, bits = _taps(image.shape[axis], positions, cubic=cubic)
    shape = [1, 1, 1]
    shape[axis] = positions
    total: NDArray[np.int32] | None = None
    for tap in range(cells.shape[1]):
        part = image.take(cells[:, tap], axis).astype(np.int32)
        part *= weights[:, tap].reshape(shape)
        total = part + (1 << (bits - 1)) if total is None else np.add(total, part, out=total)
    assert total is not None  # noqa: S101  (every position has a cell)
    total >>= bits
    return np.clip(total, 0, 255, out=total).astype(np.uint8)


@lru_cache(maxsize=16)
def _taps(cells: int, positions: int, *, cubic: bool) -> tuple[NDArray[np.intp], NDArray[np.int32], int]:
    """The cells (positions, taps) that each position draws on, their weights, and how many bits are a fraction."""
    scale = cells / positions
    wide = max(scale, 1.0)
    reach = (2.0 if cubic else 1.0) * wide
    centres = (np.arange(positions) + 0.5) * scale
    first = np.maximum((centres - reach + 0.5).astype(np.intp), 0)
    last = np.minimum((centres + reach + 0.5).astype(np.intp), cells)
    index = first[:, None] + np.arange(int((last - first).max()))
    weights = _kernel(np.abs((index - centres[:, None] + 0.5) * (1.0 / wide)), cubic=cubic)
    weights *= index < last[:, None]
    weights /= weights.sum(1, keepdims=True)
    bits = 0
    while bits < _MOST_BITS and int(0.5 + weights.max() * 2 ** (bits + 1)) < _MOST:
        bits += 1
    whole = np.trunc(weights * 2**bits + np.where(weights < 0, -0.5, 0.5)).astype(np.int32)
    return np.minimum(index, cells - 1), whole, bits


def _kernel(t: NDArray[np.float64], *, cubic: bool) -> NDArray[np.float64]:
    """The filter at distances that are not negative."""
    if not cubic:
        return np.maximum(1 - t, 0)
    near = (1.5 * t - 2.5) * t * t + 1
    far = (((t - 5) * t + 8) * t - 4) * -0.5
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))
