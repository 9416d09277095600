"""Tensors without numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.dims import UntraceableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__ = ["TracedTensor", "is_weight"]


class TracedTensor(torch.Tensor):
    """A tensor of the graph that is traced. To the network it is a tensor of torch on the CPU; it holds no numbers.

    Attributes:
        graph: The graph.
        value: The tensor in the graph.
        examples: The tensor in the two examples, on the device ``meta``.
        shared: Whether another tensor may be the same memory.
    """

    graph: TracedGraph
    value: Value
    examples: tuple[torch.Tensor, torch.Tensor]
    shared: bool

    @classmethod
    def of(cls, graph: TracedGraph, value: Value, examples: tuple[torch.Tensor, torch.Tensor]) -> TracedTensor:
        """A tensor of ``graph``, whose shape and type are those of ``examples``."""
        tensor: TracedTensor = torch.Tensor._make_subclass(cls, examples[0])  # noqa: SLF001  (torch names it in its docs)
        tensor.graph, tensor.value, tensor.examples, tensor.shared = graph, value, examples, False
        return tensor

    device = torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """Type of the elements."""
        return self.examples[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Lengths of the axes."""
        return tuple(self.graph.length_of(self.value, axis, *pair) for axis, pair in enumerate(self.pairs()))

    def pairs(self) -> Iterator[tuple[int, int]]:
        """The length of each axis in the two examples."""
        return zip(*(each.shape for each in self.examples), strict=True)

    def dim(self) -> int:
        """Number of axes."""
        return self.examples[0].dim()

    ndim = property(dim)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for side in self.shape:
            count = side * count
        return count

    def __len__(self) -> int:
        return self.shape[0]

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any) -> Any:
        """Only the tracer, which sees every call first, knows what to do."""
        raise UntraceableError(f"{function} is called outside the tracer")

    def _refused(self, *_: Any) -> Any:
        raise UntraceableError("the network asks for a number in a tensor")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __array__ = __setitem__ = _refused
    __hash__ = object.__hash__


def is_weight(of: Any) -> bool:
    """Whether something is a tensor whose numbers are known."""
    return isinstance(of, torch.Tensor) and not isinstance(of, TracedTensor)
