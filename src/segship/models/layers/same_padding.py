"""Padding that gives a strided convolution ceil(size / stride) outputs, the odd row and column at the end.

Source: TensorFlow's "same"; upstream ``Conv2dAdaptivePadding`` in mmcv (Apache-2.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["pad_same"]


def pad_same(x: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Zeros around a map for an unpadded, undilated convolution.

    The amounts depend on the size, so they are arithmetic on it, without a branch: captured graphs stay dynamic.

    Args:
        x: (N, C, H, W).
        kernel_size: Of the convolution, at least ``stride``.
        stride: Of the convolution.

    Returns:
        (N, C, H + top + bottom, W + left + right).
    """
    rows, columns = (
        (size + stride - 1) // stride * stride - stride + kernel_size - size for size in (x.shape[2], x.shape[3])
    )
    return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
