"""Shape rules that several functions of torch share, for tensors on the device ``meta``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

__all__ = ["broadcast", "combined", "common_dtype", "filled_like", "new", "of_floats", "reduced", "same"]


def new(shape: Iterable[int], dtype: torch.dtype) -> Tensor:
    """A tensor of this shape and type."""
    return torch.empty(tuple(shape), dtype=dtype, device="meta")


def same(input: Tensor, *_: Any, **__: Any) -> Tensor:
    """As the first argument."""
    return new(input.shape, input.dtype)


def of_floats(input: Tensor, *_: Any, **__: Any) -> Tensor:
    """As the first argument, whose whole numbers become floats."""
    return new(input.shape, input.dtype if input.is_floating_point() else torch.get_default_dtype())


def filled_like(input: Tensor, *_: Any, dtype: Any = None, **__: Any) -> Tensor:
    """As the first argument, of another type where one is given."""
    return new(input.shape, dtype or input.dtype)


def broadcast(*tensors: Any) -> list[int]:
    """The common shape of tensors and numbers."""
    shapes = [side.shape for side in tensors if isinstance(side, torch.Tensor)]
    rank = max(map(len, shapes))
    aligned = [[1] * (rank - len(shape)) + list(shape) for shape in shapes]
    common = [next((side for side in sides if side != 1), 1) for sides in zip(*aligned, strict=True)]
    if any(side not in {1, length} for shape in aligned for side, length in zip(shape, common, strict=True)):
        raise RuntimeError(f"shapes {', '.join(map(str, shapes))} do not fit together")
    return common


def combined(input: Any, other: Any, **_: Any) -> Tensor:
    """Two tensors, or a tensor and a number, element by element."""
    return new(broadcast(input, other), torch.result_type(input, other))


def common_dtype(*tensors: Tensor) -> torch.dtype:
    """The type that holds the elements of all."""
    dtype = tensors[0].dtype
    for tensor in tensors[1:]:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def reduced(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """One element for each along some axes; None: for all."""
    rank = input.dim()
    axes = set(range(rank)) if dim is None else {axis % rank for axis in ([dim] if isinstance(dim, int) else dim)}
    kept = (1 if at in axes else side for at, side in enumerate(input.shape) if keepdim or at not in axes)
    return new(kept, dtype or input.dtype)
