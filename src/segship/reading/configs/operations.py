"""The operators, functions and methods a config may use, each of them bounded; nothing else can be called."""

from __future__ import annotations

import ast
import operator
import re
from typing import TYPE_CHECKING, Any

from segship.reading.tree import Inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from segship.reading.limits import Allowance

__all__ = ["ALLOWED_FUNCTIONS", "binary", "call_function", "call_method", "compare", "format_value", "unary"]

_SEQUENCES = (list, tuple, str)
_NUMBERS = (int, float)
_MAXIMUM_DIGITS = 300

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
    ast.MatMult: operator.matmul,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}
_CONVERSIONS: dict[int, Callable[[Any], str]] = {ord("r"): repr, ord("s"): str, ord("a"): ascii}


def binary(kind: type[ast.operator], left: Any, right: Any, allowance: Allowance) -> Any:
    """``left`` and ``right`` joined by the operator ``kind``.

    Raises:
        TooMuchError: The result would be too large.
        TypeError, ArithmeticError, ValueError: As Python raises them, or the types are not those of a config.
    """
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        _check_size_of_number(kind, left, right, allowance)
    else:
        _check_size_of_container(kind, left, right, allowance)
    result = _BINARY[kind](left, right)
    if isinstance(result, complex):
        raise TypeError("complex numbers have no place in a config")
    return result


def _check_size_of_number(kind: type[ast.operator], left: float, right: float, allowance: Allowance) -> None:
    if not isinstance(left, int) or not isinstance(right, int):
        return
    if kind is ast.Pow:
        allowance.check_bits(left.bit_length() * max(right, 1) if abs(left) > 1 else 1)
    elif kind is ast.LShift:
        allowance.check_bits(left.bit_length() + max(right, 0))
    elif kind is ast.Mult:
        allowance.check_bits(left.bit_length() + right.bit_length())


def _check_size_of_container(kind: type[ast.operator], left: Any, right: Any, allowance: Allowance) -> None:
    if kind is ast.Mult and isinstance(left, int):
        left, right = right, left
    if kind is ast.Mult and isinstance(left, _SEQUENCES) and isinstance(right, int):
        allowance.spend(len(left) * max(right, 0))
    elif _can_be_joined(kind, left, right):
        allowance.spend(len(left) + len(right))
    else:
        names = type(left).__name__, type(right).__name__
        raise TypeError(f"{names[0]} and {names[1]} cannot be joined by {kind.__name__}")


def _can_be_joined(kind: type[ast.operator], left: Any, right: Any) -> bool:
    """Whether it is a sum of two sequences of one kind, or ``|`` of two dictionaries."""
    if kind is ast.Add:
        return isinstance(left, _SEQUENCES) and type(left) is type(right)
    return kind is ast.BitOr and isinstance(left, dict) and isinstance(right, dict)


def unary(kind: type[ast.unaryop], value: Any) -> Any:
    """Return the operator ``kind`` applied to ``value``."""
    return _UNARY[kind](value)


def compare(kind: type[ast.cmpop], left: Any, right: Any, allowance: Allowance) -> bool:
    """Return whether the comparison ``kind`` holds between ``left`` and ``right``."""
    allowance.weigh(left)
    if not isinstance(right, range):
        allowance.weigh(right)
    elif not isinstance(left, int):
        raise TypeError("only an integer can be looked up in a range")
    return bool(_COMPARE[kind](left, right))


def format_value(value: Any, conversion: int, spec: str, allowance: Allowance) -> str:
    """``value`` as an f-string writes it, ``{value!r:spec}``; ``conversion`` is the letter's number, -1 for none."""
    if any(int(number) > _MAXIMUM_DIGITS for number in re.findall(r"\d{1,9}", spec)):
        raise ValueError(f"a width or precision above {_MAXIMUM_DIGITS} in an f-string")
    allowance.weigh(value)
    convert = _CONVERSIONS.get(conversion)
    text = format(value if convert is None else convert(value), spec)
    allowance.spend(len(text))
    return text


def _items(values: Any, allowance: Allowance) -> list[Any]:
    """The items of ``values`` as a list; each is spent."""
    if not isinstance(values, (list, tuple, dict, set, str, range)):
        raise TypeError(f"{type(values).__name__} cannot be iterated")
    allowance.spend(len(values))
    return list(values)


def _dict(allowance: Allowance, *values: Any, **named: Any) -> dict[Any, Any]:
    pairs: Iterable[Any] = ()
    if values:
        source = values[0]
        pairs = source if isinstance(source, dict) else _items(source, allowance)
        for pair in pairs if isinstance(pairs, list) else ():
            allowance.check_key(pair[0])
    allowance.spend(len(named))
    return dict(pairs, **named)


def _sum(allowance: Allowance, values: Any, start: Any = 0) -> Any:
    total = start
    for item in _items(values, allowance):
        total = binary(ast.Add, total, item, allowance)
    return total


def _extreme(best: Callable[..., Any]) -> Callable[..., Any]:
    def call(allowance: Allowance, *values: Any) -> Any:
        return best(_items(values[0] if len(values) == 1 else values, allowance))

    return call


def _str(allowance: Allowance, value: Any = "") -> str:
    return format_value(value, ord("s"), "", allowance)


def _int(allowance: Allowance, value: Any = 0, base: int | None = None) -> int:
    number = int(value) if base is None else int(value, base)
    allowance.check_bits(number.bit_length())
    return number


def _round(allowance: Allowance, value: float, digits: int | None = None) -> float:
    allowance.spend()
    if digits is not None and abs(digits) > _MAXIMUM_DIGITS:
        raise ValueError(f"round to more than {_MAXIMUM_DIGITS} digits")
    return round(value, digits)


def _sorted(allowance: Allowance, values: Any, *, reverse: bool = False) -> list[Any]:
    return sorted(_items(values, allowance), reverse=bool(reverse))


def _zip(allowance: Allowance, *values: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(_items(value, allowance) for value in values), strict=False))


def _enumerate(allowance: Allowance, values: Any, start: int = 0) -> list[tuple[int, Any]]:
    return list(enumerate(_items(values, allowance), start))


def _set(allowance: Allowance, values: Any = ()) -> set[Any]:
    items = _items(values, allowance)
    for item in items:
        allowance.check_key(item)
    return set(items)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": lambda _, value: abs(value),
    "all": lambda allowance, values: all(_items(values, allowance)),
    "any": lambda allowance, values: any(_items(values, allowance)),
    "bool": lambda _, value=False: bool(value),
    "dict": _dict,
    "enumerate": _enumerate,
    "float": lambda _, value=0.0: float(value),
    "int": _int,
    "len": lambda _, values: len(values),
    "list": lambda allowance, values=(): _items(values, allowance),
    "max": _extreme(max),
    "min": _extreme(min),
    "range": lambda _, *values: range(*values),
    "reversed": lambda allowance, values: _items(values, allowance)[::-1],
    "round": _round,
    "set": _set,
    "sorted": _sorted,
    "str": _str,
    "sum": _sum,
    "tuple": lambda allowance, values=(): tuple(_items(values, allowance)),
    "zip": _zip,
}
ALLOWED_FUNCTIONS = frozenset(_FUNCTIONS)


def call_function(name: str, arguments: list[Any], named: dict[str, Any], allowance: Allowance) -> Any:
    """Call one of ``ALLOWED_FUNCTIONS``.

    Raises:
        TooMuchError: The result would be too large.
        TypeError, ValueError, ArithmeticError: As Python raises them.
    """
    if arguments:
        allowance.weigh(arguments)
    return _FUNCTIONS[name](allowance, *arguments, **named)


def _join(allowance: Allowance, text: str, parts: Any) -> str:
    items = _items(parts, allowance)
    allowance.spend(len(text) * len(items))
    return text.join(items)


def _replace(allowance: Allowance, text: str, old: str, new: str) -> str:
    allowance.spend(len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _split(allowance: Allowance, text: str, separator: str | None = None, limit: int = -1) -> list[str]:
    allowance.spend(len(text))
    return text.split(separator, limit)


def _merge(allowance: Allowance, target: dict[Any, Any], other: dict[Any, Any]) -> None:
    if not isinstance(target, Inherited):
        raise TypeError("only a dictionary that comes from a base file has merge()")
    allowance.weigh(target)
    target.merge(other)


def _copy(allowance: Allowance, values: Any) -> Any:
    allowance.weigh(values)
    return values.copy()


def _extend(allowance: Allowance, target: list[Any], values: Any) -> None:
    target.extend(_items(values, allowance))


def _insert(allowance: Allowance, target: list[Any], index: int, item: Any) -> None:
    allowance.spend(len(target) // 64)
    target.insert(index, item)


def _pop(allowance: Allowance, target: list[Any], index: int = -1) -> Any:
    allowance.spend(len(target) // 64)
    return target.pop(index)


def _setdefault(allowance: Allowance, target: dict[Any, Any], key: Any, default: Any = None) -> Any:
    allowance.check_key(key)
    if key not in target:
        target[key] = default
    return target[key]


def _position(allowance: Allowance, values: list[Any] | tuple[Any, ...], item: Any) -> int:
    allowance.weigh(values)
    return values.index(item)


def _text(name: str) -> Callable[..., Any]:
    def call(allowance: Allowance, text: str, *arguments: Any) -> Any:
        allowance.spend(len(text))
        return getattr(text, name)(*arguments)

    return call


_METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    dict: {
        "copy": _copy,
        "get": lambda _, target, key, default=None: target.get(key, default),
        "items": lambda allowance, target: _items([*target.items()], allowance),
        "keys": lambda allowance, target: _items(target, allowance),
        "merge": _merge,
        "pop": lambda _, target, *arguments: target.pop(*arguments),
        "setdefault": _setdefault,
        "update": lambda _, target, *values, **named: target.update(*values, **named),
        "values": lambda allowance, target: _items([*target.values()], allowance),
    },
    list: {
        "append": lambda _, target, item: target.append(item),
        "copy": _copy,
        "extend": _extend,
        "index": _position,
        "insert": _insert,
        "pop": _pop,
    },
    tuple: {"index": _position},
    str: {
        "endswith": _text("endswith"),
        "join": _join,
        "lower": _text("lower"),
        "replace": _replace,
        "split": _split,
        "startswith": _text("startswith"),
        "strip": _text("strip"),
        "title": _text("title"),
        "upper": _text("upper"),
    },
}


def call_method(target: Any, name: str, arguments: list[Any], named: dict[str, Any], allowance: Allowance) -> Any:
    """Call the method ``name`` of ``target``, when it is one a config may call.

    Raises:
        LookupError: It is none of those.
        TooMuchError: The result would be too large.
        TypeError, ValueError, KeyError: As Python raises them.
    """
    kind = dict if isinstance(target, dict) else type(target)
    method = _METHODS.get(kind, {}).get(name)
    if method is None:
        known = ", ".join(_METHODS.get(kind, {})) or "none"
        raise TypeError(f"{kind.__name__} has no method {name!r} for configs (those it has: {known})")
    allowance.weigh(arguments)
    allowance.weigh(named)
    return method(allowance, target, *arguments, **named)
