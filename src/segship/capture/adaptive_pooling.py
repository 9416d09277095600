"""Adaptive average pooling from slices and means, which every engine computes as torch does at every size.

torch's own translation to ONNX is right at the traced size only. A window's mean is separable, so means along one axis
after the other say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["ExactPooling", "windows"]

_MAPS = 4  # axes of (N, C, H, W)


def windows(length: int, bins: int) -> Iterator[tuple[int, int]]:
    """Where each of ``bins`` windows along an axis begins and ends.

    Args:
        length: Length of the axis: a number, or symbolic.
        bins: Number of windows.
    """
    for at in range(bins):
        yield (at * length) // bins, ((at + 1) * length + (bins - 1)) // bins


class ExactPooling(TorchFunctionMode):
    """While it is entered, ``adaptive_avg_pool2d`` of maps is slices and means."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """What stands for ``function``, or itself."""
        kwargs = kwargs or {}
        result = _pool(*args, **kwargs) if function is F.adaptive_avg_pool2d else None
        return function(*args, **kwargs) if result is None else result


def _pool(input: Tensor, output_size: Any) -> Tensor | None:
    x = input
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    if input.dim() != _MAPS:
        return None
    if (rows, columns) == (1, 1):
        return input.mean((2, 3), keepdim=True)
    for axis, bins in ((2, rows), (3, columns)):
        x = x if bins is None else _pool_along(x, bins, axis)  # None: the input's own length
    return x


def _pool_along(x: Tensor, bins: int, axis: int) -> Tensor:
    # Not x[:, start:end]: that asks whether the numbers lie within the length.
    parts = [torch.ops.aten.slice.Tensor(x, axis, start, end) for start, end in windows(x.shape[axis], bins)]
    return torch.cat([part.mean(axis, keepdim=True) for part in parts], dim=axis)
