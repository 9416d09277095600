"""ONNX operators put together like arithmetic: ``(2 * side * most + short) // (2 * short)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from segship.onnxgraph.ports import declare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import onnx
    from numpy.typing import NDArray

    from segship.core.artifacts import TensorInfo

__all__ = ["Builder", "Value"]

_TYPES = {
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "bool": TensorProto.BOOL,
}


class Value:
    """A tensor of the graph that is being built. Numbers that it is combined with take its type.

    Args:
        builder: The graph.
        name: Name of the tensor.
        dtype: NumPy's name of its type.
    """

    def __init__(self, builder: Builder, name: str, dtype: str) -> None:
        self.builder, self.name, self.dtype = builder, name, dtype

    def __add__(self, other: Value | float) -> Value:
        return self._combined("Add", self, other)

    def __radd__(self, other: float) -> Value:
        return self._combined("Add", other, self)

    def __sub__(self, other: Value | float) -> Value:
        return self._combined("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self._combined("Sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return self._combined("Mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return self._combined("Mul", other, self)

    def __truediv__(self, other: Value | float) -> Value:
        return self._combined("Div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return self._combined("Div", other, self)

    def __floordiv__(self, other: Value | float) -> Value:
        """Divide whole numbers, none of them negative: ONNX rounds towards zero."""
        return self._combined("Div", self, other)

    def __rfloordiv__(self, other: int) -> Value:
        return self._combined("Div", other, self)

    def __mod__(self, other: Value | int) -> Value:
        """Take the rest of whole numbers; it has the divisor's sign, as in Python."""
        return self._combined("Mod", self, other)

    def __rmod__(self, other: int) -> Value:
        return self._combined("Mod", other, self)

    def __gt__(self, other: Value | float) -> Value:
        return self._compared("Greater", other)

    def __lt__(self, other: Value | float) -> Value:
        return self._compared("Less", other)

    def maximum(self, other: Value | float) -> Value:
        """Return the greater of the two, element by element."""
        return self._combined("Max", self, other)

    def minimum(self, other: Value | float) -> Value:
        """Return the lesser of the two, element by element."""
        return self._combined("Min", self, other)

    def to(self, dtype: str) -> Value:
        """Return the same numbers as another type; fractions are cut off."""
        if dtype == self.dtype:
            return self
        return self.builder.add("Cast", self, dtype=dtype, to=_TYPES[dtype])

    def _compared(self, operator: str, other: Value | float) -> Value:
        """Compare floats, and nothing else.

        OpenVINO compares the bits of whole numbers as if they were floats: denormal ones, and all of them equal in a
        thread that takes denormals for zero, as ONNX Runtime's sessions are told to do.
        """
        assert self.dtype.startswith("float")
        sides = (self, other if isinstance(other, Value) else self.builder.constant(other, self.dtype))
        return self.builder.add(operator, *sides, dtype="bool")

    def _combined(self, operator: str, left: Value | float, right: Value | float) -> Value:
        sides = (side if isinstance(side, Value) else self.builder.constant(side, self.dtype) for side in (left, right))
        return self.builder.add(operator, *sides)


class Builder:
    """Collects nodes and constants, and makes a model of them.

    Args:
        prefix: The beginning of every name, so that none meets those of another graph.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._made: dict[tuple[Any, ...], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[Any, ...], onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: Value | None, dtype: str | None = None, **attributes: Any) -> Value:
        """Add a node of one output and return that; an equal node is not made twice.

        Args:
            operator: An operator of ONNX's standard.
            inputs: Its inputs; None where an optional one is left out.
            dtype: The type of the output; None: the first input's.
            attributes: The node's attributes.
        """
        sources = tuple("" if source is None else source.name for source in inputs)
        key = (operator, sources, repr(sorted(attributes.items())))
        if key not in self._made:
            self._made[key] = self._new(operator)
            self.nodes.append(helper.make_node(operator, sources, [self._made[key]], **attributes))
        first = next(source for source in inputs if source is not None)
        return Value(self, self._made[key], dtype or first.dtype)

    def outputs(self, operator: str, count: int, *inputs: Value | None, **attributes: Any) -> list[Value]:
        """Add a node of several outputs and return them, each of the first input's type."""
        names = [self._new(operator) for _ in range(count)]
        sources = ["" if source is None else source.name for source in inputs]
        self.nodes.append(helper.make_node(operator, sources, names, **attributes))
        first = next(source for source in inputs if source is not None)
        return [Value(self, name, first.dtype) for name in names]

    def either(self, condition: Value, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
        """Return what one of two functions builds; the engine computes that one alone.

        Args:
            condition: bool (1,).
            yes: Builds the value where the condition holds.
            no: Builds the value, of the same type, where it does not.
        """
        name, (first, dtype), (second, _) = self._new("If"), self._branch(yes), self._branch(no)
        sources = [self.add("Squeeze", condition).name]
        self.nodes.append(helper.make_node("If", sources, [name], then_branch=first, else_branch=second))
        return Value(self, name, dtype)

    def _branch(self, build: Callable[[], Value]) -> tuple[onnx.GraphProto, str]:
        """A graph of its own, which sees the outer one's values; the outer one sees none of its."""
        outside, made, self.nodes = self.nodes, dict(self._made), []
        found = build()
        result = helper.make_tensor_value_info(self._new("branch"), _TYPES[found.dtype], None)
        inside = [*self.nodes, helper.make_node("Identity", [found.name], [result.name])]
        self.nodes, self._made = outside, made
        return helper.make_graph(inside, result.name, [], [result]), found.dtype

    def _new(self, operator: str) -> str:
        self._count += 1
        return f"{self._prefix}.{operator}.{self._count}"

    def constant(self, values: Any, dtype: str) -> Value:
        """Return constant numbers; one alone becomes a vector of length one."""
        return self.exact(np.atleast_1d(np.asarray(values, dtype)))

    def number(self, value: float, dtype: str) -> Value:
        """Return one constant number, of shape ()."""
        return self.exact(np.asarray(value, dtype))

    def exact(self, array: NDArray[Any]) -> Value:
        """Return constant numbers in just that shape."""
        dtype = array.dtype.name
        key = (dtype, array.shape, array.tobytes())
        if key not in self.constants:
            name = f"{self._prefix}.constant.{len(self.constants)}"
            self.constants[key] = numpy_helper.from_array(array, name)
        return Value(self, self.constants[key].name, dtype)

    def where(self, condition: Value, yes: Value, no: Value) -> Value:
        """Return elements of ``yes`` where ``condition`` holds, of ``no`` elsewhere."""
        return self.add("Where", condition, yes, no, dtype=yes.dtype)

    def length(self, tensor: Value, axis: int) -> Value:
        """Return the length of an axis: int64 of shape (1,)."""
        return self.add("Shape", tensor, dtype="int64", start=axis, end=axis + 1)

    def count(self, length: Value) -> Value:
        """Return 0, 1, …, ``length`` - 1 as int64."""
        none = self.add("Squeeze", self.constant(0, "int64"))
        one = self.add("Squeeze", self.constant(1, "int64"))
        return self.add("Range", none, self.add("Squeeze", length), one)

    def take(self, tensor: Value, index: Value, axis: int) -> Value:
        """Return slices of ``tensor`` along an axis."""
        return self.add("Gather", tensor, index, axis=axis)

    def reshape(self, tensor: Value, shape: tuple[int, ...]) -> Value:
        """Return the tensor in another shape; one side may be -1."""
        return self.add("Reshape", tensor, self.constant(shape, "int64"))

    def join(self, *parts: Value) -> Value:
        """Return vectors one behind the other."""
        return self.add("Concat", *parts, axis=0)

    def model(self, inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo], opset: int) -> onnx.ModelProto:
        """Return what was built as a model.

        Args:
            inputs: The inputs that it declares.
            outputs: The outputs that it declares.
            opset: The version of its operators.
        """
        opsets = [helper.make_opsetid("", opset)]
        graph = helper.make_graph(self.nodes, "segship", [], [], list(self.constants.values()))
        made: onnx.ModelProto = helper.make_model(
            graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets), producer_name="segship"
        )
        declare(made, inputs, outputs)
        return made
