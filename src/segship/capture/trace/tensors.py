"""Tensors without numbers, lengths that the input decides, and the graph they are recorded in."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Self

import torch

from segship.capture.trace.weights import TorchWeight
from segship.onnxgraph.build import Builder, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from segship.onnxgraph.weights import Weights

__all__ = ["Length", "Record", "Recorded", "UnrecordedError", "example"]

_SMALL = 1024  # bytes; smaller constants stand in the graph itself, equal ones once

_NEUTRAL = {operator.add: 0, operator.sub: 0, operator.mul: 1, operator.floordiv: 1}
_COMMUTATIVE = (operator.add, operator.mul)


class UnrecordedError(Exception):
    """The network calls what the recorder does not know, or would do something else at another size."""


class Length(int):
    """A length that the input's size decides; taken for a number, it is that of the first example.

    Args:
        first, second: The length in the two examples.
        make: Adds the operators that compute it.
        natural: Whether it is known not to be negative at any size.
        base, offset: The length it differs from by a number, and the number; None: itself.
    """

    second: int
    natural: bool

    def __new__(  # noqa: D102
        cls,
        first: int,
        second: int,
        make: Callable[[], Value],
        *,
        natural: bool = False,
        base: Length | None = None,
        offset: int = 0,
    ) -> Self:
        length = super().__new__(cls, first)
        length.second, length.natural = second, natural
        length._make, length._value, length._base, length._offset = make, None, base, offset
        return length

    _make: Callable[[], Value]
    _value: Value | None
    _base: Length | None
    _offset: int

    @property
    def value(self) -> Value:
        """The length in the graph: int64 (1,)."""
        if self._value is None:
            self._value = self._make()
        return self._value

    @property
    def pair(self) -> tuple[int, int]:
        """The length in the two examples."""
        return example(self, 0), example(self, 1)

    def combined(self, function: Callable[[Any, Any], Any], other: Any, *, swapped: bool = False) -> int:
        """What ``function`` makes of two lengths.

        It is no number even where the examples agree: what is left of a division often agrees by chance.
        """
        if not isinstance(other, int):
            raise UnrecordedError(f"a length is combined with {other!r}")
        if not isinstance(other, Length) and (not swapped or function in _COMMUTATIVE):
            if other == _NEUTRAL.get(function):
                return self
            if function in {operator.add, operator.sub}:
                base = self if self._base is None else self._base
                return base.moved(function(self._offset, other))
        left, right = (other, self) if swapped else (self, other)
        first, second = (function(example(left, at), example(right, at)) for at in (0, 1))
        natural = function is not operator.sub and _natural(left) and _natural(right)

        def make() -> Value:
            over, under = _side(left), _side(right)
            if function is operator.floordiv and not natural:  # ONNX rounds towards zero; its Mod is Python's
                over = over - over % under
            made: Value = function(over, under)
            return made

        return Length(first, second, make, natural=natural)

    def moved(self, offset: int) -> Length:
        """This length and a number, which may be negative."""
        if not offset:
            return self
        first, second = (example(self, at) + offset for at in (0, 1))
        natural = self.natural and offset > 0
        return Length(first, second, lambda: self.value + offset, natural=natural, base=self, offset=offset)

    def _compared(self, function: Callable[[int, int], bool], other: Any) -> bool:
        if not isinstance(other, int):
            return NotImplemented  # type: ignore[no-any-return]
        first, second = (function(example(self, at), example(other, at)) for at in (0, 1))
        if first != second:
            raise UnrecordedError("the network does something else at another size")
        return first

    def _refused(self, *_: Any) -> Any:
        raise UnrecordedError("a length becomes a number")

    def __neg__(self) -> int:
        return self.combined(operator.sub, 0, swapped=True)

    def __bool__(self) -> bool:
        return self._compared(operator.ne, 0)

    def __hash__(self) -> int:
        return hash(self.pair)

    __float__ = __int__ = __round__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __str__ = _refused
    __divmod__ = __lshift__ = __rshift__ = __and__ = __or__ = _refused


def _arithmetic(name: str, *, swapped: bool) -> Callable[[Length, Any], int]:
    function = getattr(operator, name)
    return lambda self, other: self.combined(function, other, swapped=swapped)


def _comparison(name: str) -> Callable[[Length, Any], bool]:
    function = getattr(operator, name)
    return lambda self, other: self._compared(function, other)


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    setattr(Length, f"__{_name}__", _arithmetic(_name, swapped=False))
    setattr(Length, f"__r{_name}__", _arithmetic(_name, swapped=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Length, f"__{_name}__", _comparison(_name))


def example(side: Any, at: int) -> Any:
    """A length in the first or second example; anything else is the same in both."""
    if not isinstance(side, Length):
        return side
    return side.second if at else int.__add__(side, 0)


def _natural(side: int) -> bool:
    return side.natural if isinstance(side, Length) else side >= 0


def _side(side: int) -> Any:
    return side.value if isinstance(side, Length) else side


class Recorded:
    """A tensor of the graph that is recorded; it has torch's methods, and no numbers.

    Args:
        record: The graph.
        value: Where the tensor is in it.
        examples: It in the two examples, on the device ``meta``.
        call: Records a function of torch with its arguments.
    """

    def __init__(
        self, record: Record, value: Value, examples: tuple[torch.Tensor, torch.Tensor], call: Callable[..., Any]
    ) -> None:
        self.record, self.value, self.examples, self._call = record, value, examples, call
        self.shared = False  # whether another tensor may be the same memory
        self.device, self.dtype = torch.device("cpu"), examples[0].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.record.length_of(self.value, axis, *pair) for axis, pair in enumerate(self.pairs()))

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

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any) -> Any:
        """Only the recorder, which sees every call first, knows what to do."""
        raise UnrecordedError(f"{function} is called outside the recorder")

    def __getattr__(self, name: str) -> Any:
        method = getattr(torch.Tensor, name, None)
        if name.startswith("__") or not callable(method):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(method, (self, *args), kwargs)

    def __len__(self) -> int:
        return self.shape[0]

    def __bool__(self) -> bool:
        raise UnrecordedError("the network asks for a number in a tensor")

    def __iter__(self) -> Any:
        raise UnrecordedError("the network goes through a tensor")

    __hash__ = object.__hash__
    __setitem__ = __int__ = __float__ = __index__ = __array__ = __bool__


def _operator(name: str) -> Callable[..., Any]:
    method = getattr(torch.Tensor, name)
    return lambda self, *args: self._call(method, (self, *args), {})


for _name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    for _kind in ("", "r", "i"):
        if hasattr(torch.Tensor, f"__{_kind}{_name}__"):
            setattr(Recorded, f"__{_kind}{_name}__", _operator(f"__{_kind}{_name}__"))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "invert", "abs", "getitem"):
    setattr(Recorded, f"__{_name}__", _operator(f"__{_name}__"))


class Record(Builder):
    """The graph that is recorded: operators, and the weights they use.

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
        self._lengths: dict[tuple[int, int], Length] = {}

    def length_of(self, tensor: Value, axis: int, first: int, second: int) -> int:
        """Length of an axis, given those of the examples; axes that agree in both are of one length."""
        if first == second:
            return first
        pair = (first, second)
        if pair not in self._lengths:
            self._lengths[pair] = Length(first, second, lambda: self.length(tensor, axis), natural=True)
        return self._lengths[pair]

    def tensor(self, of: Any, dtype: torch.dtype | None = None) -> Value:
        """A recorded tensor, a weight, a length or a number in the graph, as ``dtype``."""
        if isinstance(of, Recorded):
            return of.value if dtype is None else of.value.to(_name_of(dtype))
        if isinstance(of, Length):
            return self.add("Squeeze", of.value).to(_name_of(dtype or torch.int64))
        if isinstance(of, torch.Tensor):
            return self._weight(of if dtype is None else of.to(dtype))
        if isinstance(of, (bool, int, float)):
            return self.number(of, _name_of(dtype or torch.get_default_dtype()))
        raise UnrecordedError(f"{of!r} is no tensor")

    def sizes(self, sides: Sequence[int]) -> Value:
        """Lengths as one vector, int64."""
        parts: list[list[int] | Length] = []
        for side in sides:
            if isinstance(side, Length):
                parts.append(side)
            elif parts and isinstance(parts[-1], list):
                parts[-1].append(side)
            else:
                parts.append([side])
        values = [part.value if isinstance(part, Length) else self.constant(part, "int64") for part in parts]
        return self.join(*values) if len(values) > 1 else values[0] if values else self.constant([], "int64")

    def learn(self, sides: Iterable[int]) -> None:
        """Remember lengths of axes that are known without looking at a tensor.

        Engines fuse a layer with the next one only where nothing else reads what lies between, not even its shape.
        """
        for side in sides:
            if isinstance(side, Length):
                side.natural = True
                self._lengths.setdefault(side.pair, side)

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
