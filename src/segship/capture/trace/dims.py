"""Lengths of axes that the input's size decides."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.onnxgraph.build import Value

__all__ = ["SymbolicDim", "UntraceableError", "in_example"]

_NEUTRAL = {operator.add: 0, operator.sub: 0, operator.mul: 1, operator.floordiv: 1}
_COMMUTATIVE = (operator.add, operator.mul)


class UntraceableError(Exception):
    """The network calls a function that the tracer does not know, or would do something else at another size."""


class SymbolicDim(int):
    """A length that the input's size decides; taken for a number, it is that of the first example.

    Args:
        first, second: The length in the two examples.
        make: Adds the operators that compute it.
        nonnegative: Whether it is known not to be negative at any size.
        base, offset: The length it differs from by a number, and the number; None: itself.
    """

    second: int
    nonnegative: bool

    def __new__(  # noqa: D102
        cls,
        first: int,
        second: int,
        make: Callable[[], Value],
        *,
        nonnegative: bool = False,
        base: SymbolicDim | None = None,
        offset: int = 0,
    ) -> Self:
        dim = super().__new__(cls, first)
        dim.second, dim.nonnegative = second, nonnegative
        dim._make, dim._value, dim._base, dim._offset = make, None, base, offset
        return dim

    _make: Callable[[], Value]
    _value: Value | None
    _base: SymbolicDim | None
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
        return in_example(self, 0), in_example(self, 1)

    def combined(self, function: Callable[[Any, Any], Any], other: Any, *, swapped: bool = False) -> int:
        """What ``function`` makes of two lengths.

        It is no number even where the examples agree: what is left of a division often agrees by chance.
        """
        if not isinstance(other, int):
            raise UntraceableError(f"a length is combined with {other!r}")
        commutes = not swapped or function in _COMMUTATIVE
        moved = self._with_number(function, other) if commutes and not isinstance(other, SymbolicDim) else None
        if moved is not None:
            return moved
        return _computed(function, *((other, self) if swapped else (self, other)))

    def _with_number(self, function: Callable[[Any, Any], Any], number: int) -> SymbolicDim | None:
        """What comes of a number that changes nothing, or is added; None: something else."""
        if number == _NEUTRAL.get(function):
            return self
        if function not in {operator.add, operator.sub}:
            return None
        base = self if self._base is None else self._base
        return base.moved(function(self._offset, number))

    def moved(self, offset: int) -> SymbolicDim:
        """This length and a number, which may be negative."""
        if not offset:
            return self
        first, second = (in_example(self, at) + offset for at in (0, 1))
        nonnegative = self.nonnegative and offset > 0
        return SymbolicDim(
            first, second, lambda: self.value + offset, nonnegative=nonnegative, base=self, offset=offset
        )

    def _compared(self, function: Callable[[int, int], bool], other: Any) -> bool:
        if not isinstance(other, int):
            return NotImplemented  # type: ignore[no-any-return]
        first, second = (function(in_example(self, at), in_example(other, at)) for at in (0, 1))
        if first != second:
            raise UntraceableError("the network does something else at another size")
        return first

    def _refused(self, *_: Any) -> Any:
        raise UntraceableError("a length becomes a number")

    def _itself(self) -> SymbolicDim:
        return self

    def __neg__(self) -> int:
        return self.combined(operator.sub, 0, swapped=True)

    def __bool__(self) -> bool:
        return self._compared(operator.ne, 0)

    def __hash__(self) -> int:
        return hash(self.pair)

    __float__ = __int__ = __round__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _refused
    __divmod__ = __lshift__ = __rshift__ = __and__ = __or__ = _refused
    __floor__ = __ceil__ = __trunc__ = __pos__ = _itself


def _arithmetic(name: str, *, swapped: bool) -> Callable[[SymbolicDim, Any], int]:
    function = getattr(operator, name)
    return lambda self, other: self.combined(function, other, swapped=swapped)


def _comparison(name: str) -> Callable[[SymbolicDim, Any], bool]:
    function = getattr(operator, name)
    return lambda self, other: self._compared(function, other)


for _name in ("add", "sub", "mul", "floordiv", "mod"):
    setattr(SymbolicDim, f"__{_name}__", _arithmetic(_name, swapped=False))
    setattr(SymbolicDim, f"__r{_name}__", _arithmetic(_name, swapped=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(SymbolicDim, f"__{_name}__", _comparison(_name))


def _computed(function: Callable[[Any, Any], Any], left: int, right: int) -> SymbolicDim:
    """The length that the graph computes of two."""
    first, second = (function(in_example(left, at), in_example(right, at)) for at in (0, 1))
    nonnegative = function is not operator.sub and _is_nonnegative(left) and _is_nonnegative(right)

    def make() -> Value:
        over, under = _operand(left), _operand(right)
        if function is operator.floordiv and not nonnegative:  # ONNX rounds towards zero; its Mod is Python's
            over = over - over % under
        made: Value = function(over, under)
        return made

    return SymbolicDim(first, second, make, nonnegative=nonnegative)


def in_example(side: Any, at: int) -> Any:
    """A length in the first or second example; anything else is the same in both."""
    if not isinstance(side, SymbolicDim):
        return side
    return side.second if at else int.__add__(side, 0)


def _is_nonnegative(side: int) -> bool:
    return side.nonnegative if isinstance(side, SymbolicDim) else side >= 0


def _operand(side: int) -> Any:
    return side.value if isinstance(side, SymbolicDim) else side
