"""What the last operators of a graph say of its output: which values it can have, and whether they are whole numbers.

A sigmoid, a softmax or an argmax at the end of a network is seldom the last node: transposes, resizes, casts and
arithmetic follow it, or stand in its place (``1 / (1 + exp(-x))``). So the range of the values is computed instead, by
interval arithmetic over the few operators whose result is bounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import onnx

__all__ = ["ANY", "Range", "output_range", "range_after", "range_of"]

_WHOLE = {
    value for name, value in TensorProto.DataType.items() if name == "BOOL" or name.removeprefix("U").startswith("INT")
}
_DEPTH = 64
_LARGEST = 4096  # numbers of a constant that are looked at: means and deviations are few, weights are many


@dataclass(frozen=True)
class Range:
    """The values that a tensor can have.

    Attributes:
        low, high: No value is below or above.
        whole: Whether all are whole numbers.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    @property
    def is_probability(self) -> bool:
        """True where all values lie in 0-1, and may lie between."""
        return self.low >= 0 and self.high <= 1 and not self.whole


ANY = Range()
"""Nothing is known."""

_UNIT, _DECISION = Range(0, 1), Range(0, 1, whole=True)
_Rule: TypeAlias = "Callable[[Sequence[Range]], Range]"


def range_of(values: np.ndarray[Any, Any]) -> Range:
    """Return the range of a constant; `ANY` where it is a table of weights."""
    if not 0 < values.size <= _LARGEST or values.dtype.kind not in "fiub":
        return ANY
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        return ANY
    return Range(float(numbers.min()), float(numbers.max()), whole=bool((numbers == np.round(numbers)).all()))


def range_after(operator: str, inputs: Sequence[Range]) -> Range:
    """Return the range of an operator's result.

    Args:
        operator: As ONNX calls it; ``Resize`` and ``Cast`` with what they do: ``ResizeNearest``, ``ResizeLinear``,
            ``CastWhole``.
        inputs: The range of each input; `ANY` for one that does not count.

    Returns:
        `ANY` where the operator's result has no bounds that are known here.
    """
    rule = _RULES.get(operator)
    return ANY if rule is None or not inputs else rule(inputs)


def output_range(model: onnx.ModelProto, name: str) -> Range:
    """Return the range of a value of a model.

    Args:
        model: The model.
        name: Of the value, mostly an output.
    """
    return _Model(model).range(name, _DEPTH)


class _Model:
    """The values of a model, found from the end."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._makers = {output: node for node in model.graph.node for output in node.output if output}
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._known: dict[str, Range] = {}

    def range(self, name: str, depth: int) -> Range:
        if name not in self._known:
            self._known[name] = ANY  # of a circle, and while its inputs are looked at
            self._known[name] = self._found(name, depth)
        return self._known[name]

    def _found(self, name: str, depth: int) -> Range:
        if name in self._constants:
            return _range_of_tensor(self._constants[name])
        node = self._makers.get(name)
        if node is None or depth == 0:
            return ANY
        if node.op_type == "Constant":
            return _range_of_attributes(node)
        operator = _specific(node, list(node.output).index(name))
        if operator not in _RULES:
            return ANY
        inputs = [self.range(each, depth - 1) if each else ANY for each in node.input]
        if operator == "Clip":
            inputs = [inputs[0], *_bounds(node, inputs)]
        return range_after(operator, inputs)


def _specific(node: onnx.NodeProto, output: int) -> str:
    """The name by which `range_after` knows what the node does."""
    attributes = {each.name: each for each in node.attribute}
    if node.op_type in {"Resize", "Upsample"}:
        mode = attributes["mode"].s.decode() if "mode" in attributes else "nearest"
        return {"nearest": "ResizeNearest", "linear": "ResizeLinear"}.get(mode, "Resize")
    if node.op_type == "Cast":
        return "CastWhole" if attributes["to"].i in _WHOLE else "Cast"
    if node.op_type in {"TopK", "MaxPool"} and output:
        return "ArgMax"
    return node.op_type


def _bounds(node: onnx.NodeProto, inputs: Sequence[Range]) -> list[Range]:
    """Of a Clip: its inputs, or before opset 11 its attributes."""
    old = {each.name: Range(each.f, each.f) for each in node.attribute}
    low, high = (
        old.get(name) or (inputs[place] if len(node.input) > place and node.input[place] else ANY)
        for place, name in ((1, "min"), (2, "max"))
    )
    return [low, high]


def _range_of_tensor(tensor: onnx.TensorProto) -> Range:
    if math.prod(tensor.dims) > _LARGEST or tensor.data_location == tensor.EXTERNAL:
        return ANY
    try:
        return range_of(numpy_helper.to_array(tensor))
    except (TypeError, ValueError):  # a type that NumPy has not, or fewer numbers than its shape says
        return ANY


def _range_of_attributes(node: onnx.NodeProto) -> Range:
    for each in node.attribute:
        if each.name == "value":
            return _range_of_tensor(each.t)
        if each.name in {"value_float", "value_int"}:
            return range_of(np.asarray(helper.get_attribute_value(each)))
    return ANY


def _same(inputs: Sequence[Range]) -> Range:
    return inputs[0]


def _averaged(inputs: Sequence[Range]) -> Range:
    return replace(inputs[0], whole=False)


def _any_of(inputs: Sequence[Range]) -> Range:
    return Range(
        min(each.low for each in inputs), max(each.high for each in inputs), whole=all(each.whole for each in inputs)
    )


def _padded(inputs: Sequence[Range]) -> Range:
    return _any_of([inputs[0], Range(0, 0, whole=True)])


def _chosen(inputs: Sequence[Range]) -> Range:
    return _any_of(inputs[1:3])


def _rounded(inputs: Sequence[Range]) -> Range:
    return Range(np.floor(inputs[0].low), np.ceil(inputs[0].high), whole=True)


def _plus(inputs: Sequence[Range]) -> Range:
    return Range(
        sum(each.low for each in inputs), sum(each.high for each in inputs), whole=all(each.whole for each in inputs)
    )


def _minus(inputs: Sequence[Range]) -> Range:
    return _plus([inputs[0], _negated(inputs[1:])])


def _negated(inputs: Sequence[Range]) -> Range:
    return Range(-inputs[0].high, -inputs[0].low, whole=inputs[0].whole)


def _times(inputs: Sequence[Range]) -> Range:
    first, second = inputs[0], inputs[1]
    corners = [_product(one, two) for one in (first.low, first.high) for two in (second.low, second.high)]
    return Range(min(corners), max(corners), whole=first.whole and second.whole)


def _product(one: float, two: float) -> float:
    return 0.0 if 0 in (one, two) else one * two


def _inverse(inputs: Sequence[Range]) -> Range:
    divisor = inputs[0]
    if divisor.low <= 0 <= divisor.high:
        return Range(0, math.inf) if divisor.low == 0 else ANY
    return Range(1 / divisor.high, 1 / divisor.low)


def _over(inputs: Sequence[Range]) -> Range:
    return _times([inputs[0], _inverse(inputs[1:])])


def _clipped(inputs: Sequence[Range]) -> Range:
    value, low, high = inputs[0], inputs[1].low, inputs[2].high
    whole = value.whole and all(math.isinf(each) or each == round(each) for each in (low, high))
    return Range(min(max(value.low, low), high), max(min(value.high, high), low), whole=whole)


def _not_negative(inputs: Sequence[Range]) -> Range:
    return replace(inputs[0], low=max(inputs[0].low, 0), high=max(inputs[0].high, 0))


def _fixed(found: Range) -> _Rule:
    return lambda _: found


def _named(names: str, rule: _Rule) -> Iterable[tuple[str, _Rule]]:
    return ((name, rule) for name in names.split())


_RULES: dict[str, _Rule] = {
    **dict(_named("Sigmoid Softmax HardSigmoid", _fixed(_UNIT))),
    **dict(_named("Tanh Erf Softsign", _fixed(Range(-1, 1)))),
    **dict(_named("Exp Softplus Sqrt", _fixed(Range(0, math.inf)))),
    **dict(_named("ArgMax ArgMin", _fixed(Range(0, math.inf, whole=True)))),
    **dict(_named("Greater Less GreaterOrEqual LessOrEqual Equal Not And Or Xor", _fixed(_DECISION))),
    **dict(_named("Round Floor Ceil CastWhole", _rounded)),
    **dict(_named("Identity Cast Transpose Reshape Squeeze Unsqueeze Flatten Slice Gather Split Expand Tile", _same)),
    **dict(_named("DepthToSpace SpaceToDepth MaxPool ReduceMax ReduceMin Dropout ResizeNearest", _same)),
    **dict(_named("ResizeLinear AveragePool GlobalAveragePool ReduceMean", _averaged)),
    **dict(_named("Concat Max Min", _any_of)),
    "Mean": lambda inputs: replace(_any_of(inputs), whole=False),
    "Pad": _padded,
    "Where": _chosen,
    **dict(_named("Add Sum", _plus)),
    "Sub": _minus,
    "Neg": _negated,
    "Mul": _times,
    "Div": _over,
    "Reciprocal": _inverse,
    "Clip": _clipped,
    "Relu": _not_negative,
}
