"""The rules by which records are read, as data for readers in other languages: those of the annotations.

A rule is the name of a record or of a scalar, or an object: ``is`` tells its form, ``before`` and ``after`` what is
done to the value, and the other names are those of `segship.core.validation.Bound`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args, get_origin

from segship.core.frozen import Frozen
from segship.core.validation import After, Before, Bound, Tag

__all__ = ["rules_text"]

_SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null", Any: "any"}
# What Python's functions do, by the names that `native/src/core/rules.cpp` gives to the same.
_STEPS = {
    "_current": "current",
    "undefined": "nan",
    "_plain": "words",
    "_require_percent": "percent",
    "_require_plain": "plain",
    "_require_small": "small",
}
_HOOKS = {"consistent": "_require_consistent", "upgrade": "_upgrade"}
_LINE = 100
_HEAD = "// Made by dev/make_spec.py of the records in Python: what each field of a manifest may hold.\n"


def rules_text(*kinds: type[Frozen]) -> str:
    """Return the rules of records, and of those within them, as JSON in strings of C++.

    Args:
        kinds: The outermost ones.
    """
    records: dict[str, Any] = {}
    for kind in kinds:
        _record(kind, records)
    lines = [""]
    for part in json.dumps(records, separators=(",", ":")).replace(',"', ',\0"').split("\0"):
        if len(lines[-1]) + len(part) > _LINE:
            lines.append("")
        lines[-1] += part
    return _HEAD + "".join(f'R"json({line})json"\n' for line in lines)


def _record(kind: type[Frozen], records: dict[str, Any]) -> str:
    name = kind.__name__
    if name not in records:
        records[name] = {}
        fields, own = kind.model_fields, {hook for base in kind.__mro__ if base is not Frozen for hook in vars(base)}
        records[name] = {
            "fields": {field: _rule(read.annotation, records) for field, read in fields.items()},
            "required": [field for field, read in fields.items() if read.required],
            **{word: True for word, hook in _HOOKS.items() if hook in own},
        }
    return name


def _rule(kind: Any, records: dict[str, Any]) -> Any:
    if get_origin(kind) is not Annotated:
        found = _bare(kind, records)
        return found["is"] if len(found) == 1 else found
    base, *marks = get_args(kind)
    if tag := next((mark.field for mark in marks if isinstance(mark, Tag)), None):
        return _tagged(get_args(base), tag, records)
    found, unbounded = _bare(base, records), Bound()
    for mark in marks:
        if isinstance(mark, Bound):
            found |= {name: value for name, value in mark._asdict().items() if value != getattr(unbounded, name)}
        elif isinstance(mark, (Before, After)):
            found.setdefault(type(mark).__name__.lower(), []).append(_STEPS[mark.function.__name__])
    return found


def _bare(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return {"is": _SCALARS[kind]}
    if origin is Literal:
        return {"is": "choice", "of": list(arguments)}
    if not arguments:
        return {"is": _record(kind, records)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"is": "tuple", "item": _rule(arguments[0], records)}
    rules = [_rule(member, records) for member in arguments]
    if origin is dict:
        return {"is": "mapping", "key": rules[0], "value": rules[1]}
    return {"is": "pair" if origin is tuple else "union", "of": rules}


def _tagged(kinds: tuple[Any, ...], tag: str, records: dict[str, Any]) -> dict[str, Any]:
    names = [get_args(kind.model_fields[tag].annotation)[0] for kind in kinds]
    of = {name: _record(kind, records) for name, kind in zip(names, kinds, strict=True)}
    return {"is": "tagged", "tag": tag, "of": of}
