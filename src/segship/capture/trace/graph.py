"""The graph that is traced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.dims import SymbolicDim, UntraceableError
from segship.capture.trace.tensors import TracedTensor
from segship.capture.trace.weights import TorchWeight
from segship.onnxgraph.build import Builder, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segship.onnxgraph.weights import Weights

__all__ = ["TracedGraph"]

_SMALL = 1024  # bytes; smaller constants stand in the graph itself, equal ones once


class TracedGraph(Builder):
    """The graph that is traced: operators, and the weights they use.

    Args:
        names: The name of each weight of the network, by the identity of its tensor.
        opset: Version of the operators; None: the one that suits the network.
    """

    def __init__(self, names: dict[int, str], opset: int | None) -> None:
        super().__init__("value")
        self.weights: Weights = {}
        self.opset = opset
        self.reshaped: dict[str, tuple[Value, list[int]]] = {}  # of a value by name, what it was before, and its shape
        self._names = names
        self._known: dict[int, tuple[torch.Tensor, Value]] = {}
        self._transposed_weights: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._transposed: dict[str, tuple[Value, list[int]]] = {}
        self._dims: dict[tuple[int, int], SymbolicDim] = {}

    def equals(self, other: TracedGraph) -> bool:
        """Whether another graph has the same operators and numbers."""
        tensors, others = self._tensors(), other._tensors()
        return (
            self.nodes == other.nodes
            and self.constants.keys() == other.constants.keys()
            and tensors.keys() == others.keys()
            and all(tensor is others[name] or torch.equal(tensor, others[name]) for name, tensor in tensors.items())
        )

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {value.name: tensor for tensor, value in self._known.values()}

    def length_of(self, tensor: Value, axis: int, first: int, second: int) -> int:
        """Length of an axis, given those of the examples; axes that agree in both are of one length."""
        if first == second:
            return first
        pair = (first, second)
        if pair not in self._dims:
            self._dims[pair] = SymbolicDim(first, second, lambda: self.length(tensor, axis), nonnegative=True)
        return self._dims[pair]

    def tensor(self, of: Any, dtype: torch.dtype | None = None) -> Value:
        """A traced tensor, a weight, a length or a number in the graph, as ``dtype``."""
        if isinstance(of, TracedTensor):
            return of.value if dtype is None else of.value.to(_name_of(dtype))
        if isinstance(of, SymbolicDim):
            return self.add("Squeeze", of.value).to(_name_of(dtype or torch.int64))
        if isinstance(of, torch.Tensor):
            return self._weight(of if dtype is None else of.to(dtype))
        if isinstance(of, (bool, int, float)):
            return self.number(of, _name_of(dtype or torch.get_default_dtype()))
        raise UntraceableError(f"{of!r} is no tensor")

    def sizes(self, sides: Sequence[int]) -> Value:
        """Lengths as one vector, int64."""
        parts: list[list[int] | SymbolicDim] = []
        for side in sides:
            if isinstance(side, SymbolicDim):
                parts.append(side)
            elif parts and isinstance(parts[-1], list):
                parts[-1].append(side)
            else:
                parts.append([side])
        values = [part.value if isinstance(part, SymbolicDim) else self.constant(part, "int64") for part in parts]
        return self.join(*values) if len(values) > 1 else values[0] if values else self.constant([], "int64")

    def declare_dims(self, sides: Iterable[int]) -> None:
        """Remember lengths of axes that are known without looking at a tensor.

        Engines fuse a layer with the next one only where nothing else reads what lies between, not even its shape.
        """
        for side in sides:
            if isinstance(side, SymbolicDim):
                side.nonnegative = True
                self._dims.setdefault(side.pair, side)

    def transposed_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """The transpose of a matrix, the same tensor each time."""
        return self._transposed_weights.setdefault(id(weight), (weight, weight.t()))[1]

    def transposed(self, tensor: Value, order: Sequence[int]) -> Value:
        """Axes in another order; a tensor that was transposed before is so once."""
        source, before = self._transposed.get(tensor.name, (tensor, range(len(order))))
        order = [before[axis] for axis in order]
        if order == list(range(len(order))):
            return source
        result = self.add("Transpose", source, perm=order)
        self._transposed[result.name] = source, order
        return result

    def part(self, tensor: Value, axis: int, start: int, end: int, step: int = 1) -> Value:
        """A slice along one axis."""
        limits = [self.sizes([start]), self.sizes([end]), self.constant(axis, "int64")]
        return self.add("Slice", tensor, *limits, *([self.constant(step, "int64")] if step != 1 else []))

    def _weight(self, tensor: torch.Tensor) -> Value:
        known = self._known.get(id(tensor))
        if known is not None:
            return known[1]
        dtype = _name_of(tensor.dtype)
        name = self._names.get(id(tensor))
        if name is None and tensor.nbytes <= _SMALL:
            value = self.exact(tensor.detach().numpy())
        else:
            name = name or self._name_like(tensor)
            self.weights[name] = TorchWeight(tensor.detach())
            value = Value(self, name, dtype)
        self._known[id(tensor)] = tensor, value
        return value

    def _name_like(self, tensor: torch.Tensor) -> str:
        """A name for what was computed of weights: that of the weight it is a view of, where there is one."""
        base = self._names.get(id(tensor._base), "constant")  # noqa: SLF001  (nothing public tells it)
        at = 1
        while f"{base}.{at}" in self.weights:
            at += 1
        return f"{base}.{at}"


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
