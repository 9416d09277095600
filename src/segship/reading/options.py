"""``--cfg-options key.sub=value``, read as mmengine's DictAction reads it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError
from segship.reading.tree import merge, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["merge_options", "parse_option", "require_count"]

_CLOSING = {")": "(", "]": "["}
_WORDS = {"true": True, "false": False}
_DEPTH = 50


def merge_options(values: dict[str, Any], options: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """Lay ``options`` over ``values``.

    Args:
        values: A config; left as it is.
        options: ``{"model.backbone.depth": 101}``, the values as they are, or ``["model.backbone.depth=101"]``.
            A number in a key is the index of a list: ``test_pipeline.1.scale=(512,512)``.

    Raises:
        ConfigError: An option is no key=value, or does not fit the config.
    """
    if isinstance(options, str):
        options = [options]
    pairs = options.items() if isinstance(options, Mapping) else [parse_option(option) for option in options]
    changes: dict[str, Any] = {}
    for key, value in pairs:
        *path, last = key.split(".")
        level = changes
        for name in path:
            level = level.setdefault(name, {})
            if not isinstance(level, dict):
                raise ConfigError(f"two options contradict each other at {name!r} in {key!r}")
        level[last] = value
    return dict(plain(merge(changes, values, list_keys=True)))


def parse_option(text: str) -> tuple[str, Any]:
    """Split ``key=value`` and read the value: a number, True/False, None, ``[a,b]``, ``(a,b)``, ``a,b``, or a string.

    Raises:
        ConfigError: There is no ``=``, brackets do not match, or the value is a mapping.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"{text!r} is not an option: expected key=value, as in model.backbone.depth=101")
    if value.lstrip("'\" ").startswith("{"):
        raise ConfigError(f"{text!r:.120} gives a mapping: give its values one by one, as in {key}.name=value")
    return key, _value(value, text)


def require_count(value: Any, what: str, *, most: float = math.inf) -> int:
    """Return a number of channels, classes or the like that a foreign file gives.

    Args:
        value: What it gives.
        what: The file and the option, for messages.
        most: The greatest that can be meant.

    Raises:
        ConfigError: It is no whole number above 0, or beyond ``most``.
    """
    if type(value) is not int or value < 1:
        raise ConfigError(f"{what} is {value!r:.60}, expected a whole number above 0")
    if value > most:
        raise ConfigError(f"{what} is {value!r:.60}, expected a whole number of 1 to {most}")
    return value


def _value(text: str, option: str, depth: int = 0) -> Any:
    if depth > _DEPTH:
        raise ConfigError(f"{option[:60]!r}… is nested too deeply")
    text = text.strip("'\"").replace(" ", "")
    commas, wrapped = _structure(text, option)
    if wrapped:
        text, commas = text[1:-1], [comma - 1 for comma in commas]
    elif not commas:
        return _single(text)
    edges = [-1, *commas, len(text)]
    parts = [text[start + 1 : end] for start, end in itertools.pairwise(edges)]
    if not parts[-1]:
        parts.pop()
    items = [_value(part, option, depth + 1) for part in parts]
    return tuple(items) if wrapped == "(" else items


def _structure(text: str, option: str) -> tuple[list[int], str]:
    """Where the commas of the outermost list are, and the bracket that wraps the whole of ``text``, if one does."""
    stack: list[tuple[str, int]] = []
    commas: dict[int, list[int]] = {0: [], 1: []}
    wrapped = ""
    for index, character in enumerate(text):
        if character in "([":
            stack.append((character, index))
        elif character in _CLOSING:
            if not stack or stack[-1][0] != _CLOSING[character]:
                raise ConfigError(f"the brackets of the option {option!r} do not match")
            bracket, start = stack.pop()
            if start == 0 and index == len(text) - 1:
                wrapped = bracket
        elif character == "," and len(stack) in commas:
            commas[len(stack)].append(index)
    if stack:
        raise ConfigError(f"the brackets of the option {option!r} do not match")
    return commas[1 if wrapped else 0], wrapped


def _single(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return _WORDS.get(text.lower(), None if text == "None" else text)
