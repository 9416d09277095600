"""The JSON schema of a record, made from the annotations by which it is read."""

from __future__ import annotations

import inspect
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from segship.core.frozen import Frozen
from segship.core.validation import Bound, Tag

__all__ = ["record_schema"]

_SCALARS = {bool: "boolean", int: "integer", float: "number", str: "string", types.NoneType: "null"}
_NUMBERS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
_COUNTED = {"string": "Length", "array": "Items", "object": "Properties"}


def record_schema(kind: type[Frozen]) -> dict[str, Any]:
    """Return the schema of ``kind``; the records within it stand under ``$defs``."""
    within: dict[str, Any] = {}
    return {**_record(kind, within), "$defs": within}


def _record(kind: type[Frozen], within: dict[str, Any]) -> dict[str, Any]:
    properties = {}
    for name, field in kind.model_fields.items():
        found = _schema(field.annotation, within)
        if not any("$ref" in part for part in (found, *found.get("anyOf", ()))):  # records have titles of their own
            found["title"] = " ".join(part.capitalize() for part in name.split("_"))
        properties[name] = found if field.required else found | {"default": _plain(field.default)}
    required = [name for name, field in kind.model_fields.items() if field.required]
    return {
        "additionalProperties": False,
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "properties": properties,
        "title": kind.__name__,
        "type": "object",
    } | ({"required": required} if required else {})


def _plain(value: Any) -> Any:
    if isinstance(value, Frozen):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, tuple) else value


def _schema(kind: Any, within: dict[str, Any]) -> dict[str, Any]:
    if get_origin(kind) is not Annotated:
        return _unbounded(kind, within)
    base, *marks = get_args(kind)
    if tag := next((mark for mark in marks if isinstance(mark, Tag)), None):
        return _tagged(get_args(base), tag.field, within)
    found = _unbounded(base, within)
    for mark in marks:
        if isinstance(mark, Bound):
            found |= _bounds(mark, found)
    return found


def _bounds(bound: Bound, schema: dict[str, Any]) -> dict[str, Any]:
    found = {_NUMBERS[name]: value for name, value in bound._asdict().items() if name in _NUMBERS and value is not None}
    counted = _COUNTED.get(schema.get("type", ""))
    if counted and bound.least:
        found[f"min{counted}"] = bound.least
    if counted and bound.most is not None:
        found[f"max{counted}"] = bound.most
    return found | ({"pattern": bound.pattern} if bound.pattern else {})


def _unbounded(kind: Any, within: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if kind is Any:
        return {}
    if origin is Literal:
        return {"type": "string"} | ({"const": arguments[0]} if len(arguments) == 1 else {"enum": list(arguments)})
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema(member, within) for member in arguments]}
    if origin in {tuple, dict}:
        return (_array if origin is tuple else _object)(arguments, within)
    if kind.__name__ not in within:
        within[kind.__name__] = {}
        within[kind.__name__] = _record(kind, within)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _array(kinds: tuple[Any, ...], within: dict[str, Any]) -> dict[str, Any]:
    if kinds[-1] is Ellipsis:
        return {"type": "array", "items": _schema(kinds[0], within)}
    items = [_schema(kind, within) for kind in kinds]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _object(kinds: tuple[Any, ...], within: dict[str, Any]) -> dict[str, Any]:
    names, values = (_schema(kind, within) for kind in kinds)
    del names["type"]
    return {"type": "object", "additionalProperties": values or True} | ({"propertyNames": names} if names else {})


def _tagged(kinds: tuple[Any, ...], tag: str, within: dict[str, Any]) -> dict[str, Any]:
    refs = [_schema(kind, within) for kind in kinds]
    names = [get_args(kind.model_fields[tag].annotation)[0] for kind in kinds]
    mapping = {name: ref["$ref"] for name, ref in zip(names, refs, strict=True)}
    return {"oneOf": refs, "discriminator": {"propertyName": tag, "mapping": mapping}}
