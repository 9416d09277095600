"""Data that nobody has checked, read by what a type annotation allows; every mistake is told, and its place.

A number is no text and no truth value. Whole numbers may be written as ``8.0``, lists stand for tuples, 0 and 1 for a
truth value. The messages are those of pydantic, which read manifests until version 0.2; `native` has the same.
"""

from __future__ import annotations

import math
import operator
import re
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired, TypeVar, Union, get_args, get_origin
from typing import get_type_hints as hints_of

from segship.core.mistakes import Mistake, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["After", "Before", "Bound", "Tag", "hints_of", "reader_of"]

_Mark = TypeVar("_Mark")


class Bound(NamedTuple):
    """The bounds of a value, which stand in its annotation: ``Annotated[int, Bound(gt=0)]``.

    Attributes:
        gt, ge, lt, le: Of a number; NaN passes none.
        least, most: Number of characters of a text, or of items.
        finite: Whether a number must be neither infinite nor NaN.
        whole: Whether a whole number must be written as one, not as ``8.0``.
        pattern: Regular expression that a text matches.
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None
    least: int = 0
    most: int | None = None
    finite: bool = False
    whole: bool = False
    pattern: str = ""


class Before(NamedTuple):
    """What is done to a value before it is read; it may raise ValueError."""

    function: Callable[[Any], Any]


class After(NamedTuple):
    """What is done to a value after it was read; it may raise ValueError."""

    function: Callable[[Any], Any]


class Tag(NamedTuple):
    """The field by which the records of a union are told apart."""

    field: str


def reader_of(kind: Any) -> Callable[[Any], Any]:
    """Return the function that reads a value of one type.

    Args:
        kind: A type as `typing` writes it, resolved: what is compared with ``Annotated``, ``Literal``, unions, tuples,
            lists, dictionaries, typed dictionaries and records.
    """
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        return _marked(base, marks)
    return _plain_reader(kind, Bound())


def _wrong(said: str, value: Any) -> ValidationError:
    return ValidationError([Mistake((), said, value)])


def _marked(base: Any, marks: list[Any]) -> Callable[[Any], Any]:
    """The reader of a type with `Bound`, `Before`, `After` and `Tag`; texts are for others."""
    if strange := [mark for mark in marks if not isinstance(mark, (Bound, Before, After, Tag, str))]:
        raise TypeError(f"{base} is annotated with {strange[0]!r}, which nobody reads")
    tags = _of(Tag, marks)
    read = _tagged(get_args(base), tags[0].field) if tags else _plain_reader(base, _narrowed(_of(Bound, marks)))
    before = [mark.function for mark in _of(Before, marks)]
    after = [mark.function for mark in _of(After, marks)]
    return _in_turn([*before, read, *after]) if before or after else read


def _of(kind: type[_Mark], marks: list[Any]) -> list[_Mark]:
    """The marks of one kind."""
    return [mark for mark in marks if isinstance(mark, kind)]


def _in_turn(steps: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """The reader that is made of several; what any of them refuses is a mistake of the value."""

    def reader(value: Any) -> Any:
        found = value
        try:
            for step in steps:
                found = step(found)
        except ValidationError:
            raise
        except (ValueError, RecursionError) as error:
            raise _wrong(str(error), value) from None
        return found

    return reader


def _narrowed(bounds: list[Bound]) -> Bound:
    """What all of them say; the later one where two say the same."""
    none = Bound()
    changes = [
        {key: value for key, value in bound._asdict().items() if value != getattr(none, key)} for bound in bounds
    ]
    return none._replace(**{key: value for change in changes for key, value in change.items()})


def _plain_reader(kind: Any, bound: Bound) -> Callable[[Any], Any]:
    if kind in _SCALARS:
        return _bounded(_SCALARS[kind], bound)
    if get_args(kind) or kind is dict:
        return _compound_reader(get_origin(kind) or kind, get_args(kind) or (Any, Any), bound)
    if kind is Any:
        return _anything
    read: Callable[[Any], Any] = _typed_dict(kind) if hasattr(kind, "__total__") else kind.model_validate
    return read


def _compound_reader(origin: Any, arguments: tuple[Any, ...], bound: Bound) -> Callable[[Any], Any]:
    """The reader of a type that is made of others."""
    if origin in {Union, types.UnionType}:
        return _union(arguments)
    if origin is Literal:
        return _choice(arguments)
    if origin is dict:
        return _mapping(reader_of(arguments[0]), reader_of(arguments[1]), bound)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _pair(arguments)
    return _items(origin, reader_of(arguments[0]), bound)


def _anything(value: Any) -> Any:
    return value


def _nothing(value: Any) -> None:
    if value is not None:
        raise _wrong("input should be None", value)


def _boolean(value: Any) -> bool:
    if isinstance(value, (bool, int)) and value in {0, 1}:
        return bool(value)
    unclear = ", unable to interpret input" if isinstance(value, str) else ""
    raise _wrong(f"input should be a valid boolean{unclear}", value)


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if isinstance(value, bool):
        raise _wrong("input should be a valid integer", value)
    if isinstance(value, float) and not math.isfinite(value):
        raise _wrong("input should be a finite number", value)
    if isinstance(value, float) and not value.is_integer():
        raise _wrong("input should be a valid integer, got a number with a fractional part", value)
    try:
        return int(value) if isinstance(value, float) else operator.index(value)  # NumPy's have an index, too
    except TypeError:
        unclear = ", unable to parse string as an integer" if isinstance(value, str) else ""
        raise _wrong(f"input should be a valid integer{unclear}", value) from None


def _number(value: Any) -> float:
    if type(value) is float:
        return value
    unclear = ", unable to parse string as a number" if isinstance(value, str) else ""
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise _wrong(f"input should be a valid number{unclear}", value)
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        raise _wrong("input should be a valid number", value) from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _wrong("input should be a valid string", value)


def _path(value: Any) -> Path:
    if isinstance(value, (str, Path)):
        return Path(value)
    raise _wrong("input should be a valid path", value)


_SCALARS: dict[Any, Callable[[Any], Any]] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: _text,
    Path: _path,
    types.NoneType: _nothing,
}


def _bounded(read: Callable[[Any], Any], bound: Bound) -> Callable[[Any], Any]:
    """A reader of single values within bounds."""
    if bound == Bound():
        return read
    limits = [
        (passes, limit, f"input should be {words} {limit}")
        for passes, limit, words in (
            (operator.gt, bound.gt, "greater than"),
            (operator.ge, bound.ge, "greater than or equal to"),
            (operator.lt, bound.lt, "less than"),
            (operator.le, bound.le, "less than or equal to"),
        )
        if limit is not None
    ]

    def reader(value: Any) -> Any:
        if bound.whole and type(value) is not int:
            raise _wrong("input should be a valid integer", value)
        found = read(value)
        if bound.finite and not math.isfinite(found):
            raise _wrong("input should be a finite number", value)
        for passes, limit, said in limits:
            if not passes(found, limit):
                raise _wrong(said, value)
        if isinstance(found, str):
            _require_text(found, bound)
        return found

    return reader


def _require_text(text: str, bound: Bound) -> None:
    if bound.most is not None and len(text) > bound.most:
        raise _wrong(f"string should have at most {_count(bound.most, 'character')}", text)
    if len(text) < bound.least:
        raise _wrong(f"string should have at least {_count(bound.least, 'character')}", text)
    if bound.pattern and not re.fullmatch(bound.pattern, text):
        raise _wrong(f"string should match pattern '{bound.pattern}'", text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _choice(choices: tuple[Any, ...]) -> Callable[[Any], Any]:
    *others, last = map(repr, choices)
    words = f"{', '.join(others)} or {last}" if others else last

    def reader(value: Any) -> Any:
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise _wrong(f"input should be {words}", value)

    return reader


def _each(pairs: Iterable[tuple[str | int, Any, Callable[[Any], Any]]], others: Iterable[Mistake] = ()) -> list[Any]:
    """Every value, read; or all mistakes at once, with ``others``."""
    found, mistakes = [], list[Mistake]()
    for place, value, read in pairs:
        try:
            found.append(read(value))
        except ValidationError as error:
            mistakes += error.below(place)
    if mistakes := [*mistakes, *others]:
        raise ValidationError(mistakes)
    return found


def _require_length(what: str, value: Any, bound: Bound) -> None:
    if len(value) < bound.least:
        least = _count(bound.least, "item")
        raise _wrong(f"{what} should have at least {least} after validation, not {len(value)}", value)
    if bound.most is not None and len(value) > bound.most:
        many = len(value) if len(value) == bound.most + 1 or what == "dictionary" else "more"
        raise _wrong(f"{what} should have at most {_count(bound.most, 'item')} after validation, not {many}", value)


def _items(kind: type[tuple[Any, ...] | list[Any]], read: Callable[[Any], Any], bound: Bound) -> Callable[[Any], Any]:
    name = kind.__name__

    def reader(value: Any) -> Any:
        if not isinstance(value, (tuple, list)):
            raise _wrong(f"input should be a valid {name}", value)
        _require_length(name, value, bound)
        return kind(_each((index, item, read) for index, item in enumerate(value)))

    return reader


def _pair(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    """The reader of a tuple of so many items."""
    reads = [reader_of(kind) for kind in kinds]

    def reader(value: Any) -> Any:
        if not isinstance(value, (tuple, list)):
            raise _wrong("input should be a valid tuple", value)
        if len(value) > len(reads):
            most = _count(len(reads), "item")
            raise _wrong(f"tuple should have at most {most} after validation, not {len(value)}", value)
        missing = [Mistake((index,), "", kind="missing") for index in range(len(value), len(reads))]
        return tuple(_each(zip(range(len(value)), value, reads, strict=False), missing))

    return reader


def _mapping(key: Callable[[Any], Any], read: Callable[[Any], Any], bound: Bound) -> Callable[[Any], Any]:
    def reader(value: Any) -> Any:
        if not _is_mapping(value):
            raise _wrong("input should be a valid dictionary", value)
        _require_length("dictionary", value, bound)
        names = _each((f"{name}.[key]", name, key) for name in value)
        return dict(zip(names, _each((str(name), item, read) for name, item in value.items()), strict=True))

    return reader


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) or (hasattr(value, "keys") and hasattr(value, "items"))


def _typed_dict(kind: Any) -> Callable[[Any], Any]:
    """The reader of a typed dictionary; what it does not name is kept as it is."""
    hints = hints_of(kind, include_extras=True)
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired or not kind.__total__}
    reads = {
        name: reader_of(get_args(hint)[0] if get_origin(hint) is NotRequired else hint) for name, hint in hints.items()
    }

    def reader(value: Any) -> Any:
        if not _is_mapping(value):
            raise _wrong("input should be a valid dictionary", value)
        missing = [Mistake((name,), "", kind="missing") for name in reads if name not in value and name not in optional]
        read = _each(((name, item, reads.get(name, _anything)) for name, item in value.items()), missing)
        return dict(zip(value, read, strict=True))

    return reader


def _union(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    """The reader of the first kind that fits; the value's own type before one that it would be turned into."""
    reads = [(_own_type(kind), reader_of(kind)) for kind in kinds]

    def reader(value: Any) -> Any:
        mistakes = list[Mistake]()
        for _, read in sorted(reads, key=lambda pair: pair[0] is not type(value)):
            try:
                return read(value)
            except ValidationError as error:
                mistakes += error.mistakes
        depth = max(len(one.place) for one in mistakes)
        deepest = [one for one in mistakes if len(one.place) == depth]
        raise ValidationError(deepest if depth else [_alternatives(deepest)])

    return reader


def _own_type(kind: Any) -> Any:
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_origin(kind) or kind


def _alternatives(mistakes: list[Mistake]) -> Mistake:
    """What a value could have been, which is none of it; that it may be left out, nobody needs to be told."""
    said = list(dict.fromkeys(one.said for one in mistakes if one.said != "input should be None"))
    return mistakes[0]._replace(
        said=" or ".join([said[0], *(words.removeprefix("input should be ") for words in said[1:])])
    )


def _tagged(kinds: tuple[Any, ...], tag: str) -> Callable[[Any], Any]:
    """The reader of one of several records, which name themselves in the field ``tag``."""
    known = {get_args(hints_of(kind)[tag])[0]: kind for kind in kinds}

    def reader(value: Any) -> Any:
        if isinstance(value, kinds):
            return value
        if not _is_mapping(value):
            raise _wrong("input should be a valid dictionary or object to extract fields from", value)
        if tag not in value:
            raise _wrong(f"unable to extract tag using discriminator {tag!r}", value)
        name = value[tag]
        if not isinstance(name, str) or name not in known:
            expected = ", ".join(map(repr, known))
            said = (
                f"input tag {str(name)!r:.60} found using {tag!r} does not match any of the expected tags: {expected}"
            )
            raise _wrong(said, value)
        try:
            return known[name].model_validate(value)
        except ValidationError as error:
            raise ValidationError(error.below(name)) from None

    return reader
