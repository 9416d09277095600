"""Random weights, quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FewRandomNumbers"]

_DRAWN = 2**18  # numbers of a tensor that are drawn; their copies fill the rest
_INITIALISERS = {
    nn.init.kaiming_uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    Tensor.normal_,
    Tensor.uniform_,
}


class FewRandomNumbers(TorchFunctionMode):
    """While it is entered, only the first rows of a large weight are drawn; the others repeat them.

    Drawing is most of what building a large network costs, for numbers that a checkpoint replaces. Without one they
    still have the distribution that was asked for, but rows are equal to others: such a network can be run and timed,
    and is no start for training.
    """

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """What ``function`` does, on fewer numbers where it fills a large tensor at random."""
        given = dict(kwargs or {})
        if function not in _INITIALISERS:
            return function(*args, **given)
        tensor = args[0] if args else given.pop("tensor")
        if tensor.is_meta:
            return tensor
        rows = _rows(tensor)
        with torch.no_grad():
            function(tensor[:rows] if rows else tensor, *args[1:], **given)
            for start in range(rows, len(tensor) if rows else 0, rows or 1):
                part = tensor[start : start + rows]
                part.copy_(tensor[: len(part)])
        return tensor


def _rows(tensor: Tensor) -> int:
    """How many rows of ``tensor`` are drawn; 0: all of it."""
    if tensor.numel() <= _DRAWN:
        return 0
    return max(1, _DRAWN * len(tensor) // tensor.numel())
