"""Config values as mmengine treats them: dictionaries that came from a base file, and the merging of files."""

from __future__ import annotations

from typing import Any

from segship.core.errors import ConfigError

__all__ = ["DELETE", "Inherited", "merge", "plain"]

DELETE = "_delete_"


class Inherited(dict[Any, Any]):
    """A dictionary that came from a base file: ``x.key`` reads an item, ``update`` goes into nested dictionaries.

    It stands for mmengine's ConfigDict; whatever is put into it becomes inherited too.
    """

    def __init__(self, values: dict[Any, Any] | None = None) -> None:
        super().__init__()
        for key, value in (values or {}).items():
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, _adopt(value))

    def update(self, *others: Any, **named: Any) -> None:
        """Take over ``others`` and ``named``; where both sides hold a dictionary, the two are merged."""
        changes: dict[Any, Any] = {}
        for other in (*others, named):
            changes.update(other)
        for key, value in changes.items():
            mine = self.get(key)
            if isinstance(mine, Inherited) and isinstance(value, dict):
                mine.update(value)
            else:
                self[key] = value

    def merge(self, other: dict[Any, Any]) -> None:
        """Take over ``other`` level by level; a level that holds ``_delete_`` replaces what was there."""
        merged = _overlay(other, self)
        self.clear()
        for key, value in merged.items():
            self[key] = value

    def copy(self) -> Inherited:
        """Return a new dictionary with the same items."""
        twin = Inherited()
        for key, value in self.items():
            twin[key] = value
        return twin


def _adopt(value: Any) -> Any:
    if type(value) is dict:
        return Inherited(value)
    if isinstance(value, list):
        return [_adopt(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_adopt(item) for item in value)
    return value


def _overlay(new: dict[Any, Any], old: Any) -> dict[Any, Any]:
    new = dict(new)
    replace = new.pop(DELETE, False)
    if not isinstance(old, dict):
        return new
    merged = {} if replace else dict(old)
    for key, value in new.items():
        merged[key] = _overlay(value, merged.get(key)) if isinstance(value, dict) else value
    return merged


def plain(value: Any) -> Any:
    """Return a copy of ``value`` that is made of plain dictionaries, lists and tuples."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def merge(child: dict[Any, Any], base: Any, *, list_keys: bool = False, where: str = "") -> Any:
    """Lay ``child`` over ``base``, as mmengine merges a file over its bases and overrides over a config.

    Dictionaries are merged; everything else is replaced. ``_delete_=True`` in a dictionary replaces as well.

    Args:
        child: What is laid over; ``_delete_`` keys that took effect are removed from it.
        base: A dictionary, or with ``list_keys`` a list; left as it is.
        list_keys: Whether keys like ``"0"`` mean items of a list.
        where: Dotted path of the two, for messages.

    Returns:
        The result; parts of ``child`` and ``base`` may be shared with it.

    Raises:
        ConfigError: A dictionary is laid over something that is none, or an index is too large.
    """
    result = base.copy()
    for key, value in child.items():
        path = f"{where}.{key}" if where else str(key)
        if list_keys and isinstance(base, list):
            _merge_item(result, key, value, path)
        elif not isinstance(value, dict) or key not in result or value.pop(DELETE, False):
            result[key] = value
        elif isinstance(result[key], (dict, list) if list_keys else dict):
            result[key] = merge(value, result[key], list_keys=list_keys, where=path)
        else:
            raise ConfigError(
                f"{path} is a dictionary, but it is {result[key]!r:.60} in the config it is laid over: "
                f"add {DELETE}=True to the dictionary to replace it"
            )
    return result


def _merge_item(result: list[Any], key: str, value: Any, path: str) -> None:
    if not key.isdecimal():
        raise ConfigError(f"{path}: {path.rpartition('.')[0]} is a list, so its items are named by numbers: 0, 1, …")
    index = int(key)
    if index >= len(result):
        raise ConfigError(f"{path}: {path.rpartition('.')[0]} has only {len(result)} items")
    both = isinstance(value, dict) and isinstance(result[index], (dict, list))
    result[index] = merge(value, result[index], list_keys=True, where=path) if both else value
