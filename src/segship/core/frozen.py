"""Records that cannot be changed, of which everything that travels is made, and the bounds of what stands in them.

The bounds are far above what real networks have and far below what hangs a machine or fills its memory.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import PurePath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    dataclass_transform,
    get_args,
    get_origin,
)

from segship.core.mistakes import Mistake, ValidationError
from segship.core.validation import After, Before, Bound, hints_of, reader_of

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Collection, Mapping
    from typing import Self

__all__ = [
    "UNWRITTEN",
    "Count",
    "Finite",
    "Frozen",
    "Multiple",
    "Name",
    "Positive",
    "RecordField",
    "Share",
    "Side",
    "Values",
    "Words",
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LONGEST_NAME, _LONGEST_WORDS = 255, 4096  # characters


def _require_plain(name: str) -> str:
    if found := _CONTROL.search(name):
        raise ValueError(f"it holds a character that is no text: {found[0]!r}")
    return name


def _plain(text: Any) -> Any:
    """What is told to people, on one line; what is too long for a sentence is cut off."""
    if not isinstance(text, str):
        return text
    plain = _CONTROL.sub(" ", text)
    return plain if len(plain) <= _LONGEST_WORDS else f"{plain[: _LONGEST_WORDS - 1]}…"


Positive = Annotated[int, Bound(gt=0, le=2**31 - 1)]
"""A positive whole number, of what is never a size of memory."""
Count = Annotated[int, Bound(ge=0, le=2**53)]
"""How many there are; every language's numbers hold it."""
Side = Annotated[int, Bound(gt=0, le=2**15)]
"""Height or width in pixels of what is allocated: OpenCV and Pillow stop a little above."""
Multiple = Annotated[int, Bound(gt=0, le=4096)]
"""Of which a side is a multiple: strides and patches are a few hundred at most."""
Finite = Annotated[float, Bound(finite=True, ge=-1e30, le=1e30)]
"""A number that float32 holds, and its square root, too."""
Values = Annotated[tuple[Finite, ...], Bound(least=1, most=1024)]
"""A number for each channel or band; hyperspectral cameras have a few hundred."""
Share = Annotated[float, Bound(finite=True, ge=0, le=1)]
"""A share, 0-1."""
Name = Annotated[str, Bound(most=_LONGEST_NAME), After(_require_plain)]
"""A name that people read and programs compare: at most 255 characters, none of them a control character."""
Words = Annotated[str, Before(_plain)]
"""What is told to people: one line, at most 4096 characters; control characters become blanks."""

UNWRITTEN = "unwritten"
"""Stands in the annotation of a field that stays out of files: ``Annotated[int, UNWRITTEN]``."""

_MISSING: Any = object()
_GIVEN = "__given__"


class RecordField(NamedTuple):
    """One field of a record.

    Attributes:
        annotation: Its type, resolved.
        read: Returns a value as that type, or raises ValidationError.
        default: Its value where none is given.
        required: Whether one has to be given.
        written: Whether files hold it.
    """

    annotation: Any
    read: Callable[[Any], Any]
    default: Any
    required: bool
    written: bool


class _Fields:
    """The fields of a record by name; made when they are first asked for, because types are then known."""

    def __get__(self, instance: object, owner: type[Frozen]) -> dict[str, RecordField]:
        found: dict[str, RecordField] | None = owner.__dict__.get("_fields")
        if found is None:
            hints = hints_of(owner, include_extras=True)
            names = [name for name, kind in hints.items() if name[0] != "_" and get_origin(kind) is not ClassVar]
            found = {name: _field(hints[name], _default(owner, name)) for name in names}
            owner._fields = found
        return found


def _default(owner: type, name: str) -> Any:
    """The default that stands beside the annotation: a class that says a field again without one requires it."""
    said = next(base for base in owner.__mro__ if name in getattr(base, "__annotations__", {}))
    return said.__dict__.get(name, _MISSING)


def _field(kind: Any, default: Any) -> RecordField:
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return RecordField(kind, reader_of(kind), default, default is _MISSING, UNWRITTEN not in marks)


class _Signature:
    """The parameters of a record's constructor, for those who ask with `inspect.signature`."""

    def __get__(self, instance: object, owner: type[Frozen]) -> inspect.Signature:
        from inspect import Parameter, Signature  # only help and documentation ask

        return Signature([
            Parameter(
                name, Parameter.KEYWORD_ONLY, annotation=field.annotation,
                default=Parameter.empty if field.required else field.default,
            )
            for name, field in owner.model_fields.items()
        ])  # fmt: skip


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Frozen:
    """An immutable record: annotated fields, which are given by name and are read by their types.

    Unknown fields are refused. Classes may add two hooks: `_upgrade` and `_require_consistent`.

    Raises:
        ValidationError: A value is not what its field allows; all mistakes are told at once.
    """

    model_fields = _Fields()
    __signature__ = _Signature()
    _fields: ClassVar[dict[str, RecordField]]

    def __init__(self, /, **values: Any) -> None:
        self._fill(values)

    @classmethod
    def _upgrade(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data as this version writes it; for records that an earlier one wrote otherwise."""
        return data

    def _require_consistent(self) -> None:
        """Raise ValueError where values contradict each other, of which each may stand alone."""

    def _omitted(self) -> tuple[str, ...]:
        """Names of fields that are left out of files because they say nothing."""
        return ()

    def _fill(self, data: Mapping[str, Any]) -> None:
        given, fields = self._upgrade(data), self.model_fields
        values, mistakes = dict[str, Any](), list[Mistake]()
        for name, field in fields.items():
            if name in given:
                try:
                    values[name] = field.read(given[name])
                except ValidationError as error:
                    mistakes += error.below(name)
            elif field.required:
                mistakes.append(Mistake((name,), "", kind="missing"))
            else:
                values[name] = dict(field.default) if isinstance(field.default, dict) else field.default
        mistakes += [Mistake((str(name),), "", kind="unknown") for name in given if name not in fields]
        if mistakes:
            raise ValidationError(mistakes)
        self.__dict__.update(values, **{_GIVEN: frozenset(given)})
        try:
            self._require_consistent()
        except ValueError as error:
            raise ValidationError([Mistake((), str(error), dict(data))]) from None

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """Return the record that ``data`` describes: a mapping, or such a record.

        Args:
            data: Often read from JSON.

        Returns:
            The record.

        Raises:
            ValidationError: It is none.
        """
        if isinstance(data, cls):
            return data
        if not (hasattr(data, "keys") and hasattr(data, "items")):
            told = f"input should be a valid dictionary or instance of {cls.__name__}"
            raise ValidationError([Mistake((), told, data)])
        made = cls.__new__(cls)
        Frozen._fill(made, data)
        return made

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """Return the record that a JSON text describes.

        Args:
            text: An object.

        Returns:
            The record.

        Raises:
            ValueError: It is no JSON, or no such record (ValidationError).
        """
        return cls.model_validate(json.loads(text))

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return the same record with other values, which are taken as they are.

        Args:
            update: The values by name.
        """
        made = type(self).__new__(type(self))
        changes = dict(update or {})
        made.__dict__.update(self.__dict__, **changes, **{_GIVEN: self.model_fields_set | set(changes)})
        return made

    def model_dump(
        self,
        *,
        mode: Literal["python", "json"] = "python",
        exclude: Collection[str] = (),
        exclude_unset: bool = False,
    ) -> dict[str, Any]:
        """Return the fields that files hold, records within as dictionaries.

        Args:
            mode: ``"json"``: tuples become lists, paths texts, NaN and infinity None.
            exclude: Names that are left out.
            exclude_unset: Leave out what nobody gave, here and within.
        """
        left = {*exclude, *self._omitted()}
        names = [name for name, field in self.model_fields.items() if field.written and name not in left]
        if exclude_unset:
            names = [name for name in names if name in self.model_fields_set]
        return {name: _dumped(getattr(self, name), mode, exclude_unset=exclude_unset) for name in names}

    def model_dump_json(self, *, indent: int | None = None, exclude: Collection[str] = ()) -> str:
        """Return the record as JSON; NaN and infinity become null.

        Args:
            indent: Blanks for each level; None: all on one line.
            exclude: Names that are left out.
        """
        data = self.model_dump(mode="json", exclude=exclude)
        marks = (",", ":") if indent is None else (",", ": ")
        return json.dumps(data, indent=indent, separators=marks, ensure_ascii=False, allow_nan=False)

    @property
    def model_fields_set(self) -> frozenset[str]:
        """Names of the fields that were given, rather than left at their defaults."""
        given: frozenset[str] = self.__dict__[_GIVEN]
        return given

    def _values(self) -> tuple[Any, ...]:
        return tuple(self.__dict__[name] for name in self.model_fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed: model_copy(update=...) makes another")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be taken away")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.model_fields)
        return f"{type(self).__name__}({told})"


def _dumped(value: Any, mode: Literal["python", "json"], *, exclude_unset: bool) -> Any:
    """A value as plain data."""
    if isinstance(value, Frozen):
        return value.model_dump(mode=mode, exclude_unset=exclude_unset)
    if isinstance(value, dict):
        return {key: _dumped(item, mode, exclude_unset=exclude_unset) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        items = [_dumped(item, mode, exclude_unset=exclude_unset) for item in value]
        return items if mode == "json" else type(value)(items)
    return _as_json(value) if mode == "json" else value


def _as_json(value: Any) -> Any:
    """A plain value as JSON can hold it: paths are texts, and what is no number is nothing."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, PurePath) else value
