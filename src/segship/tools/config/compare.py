"""Where two configs differ, key by key, whatever files they are spread over."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segship.tools.config.text import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Difference", "compare"]

_ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One key that differs.

    Attributes:
        key: Dotted, items of lists by number: ``"model.backbone.depth"``.
        kind: ``"changed"``, ``"removed"`` (only in the first) or ``"added"`` (only in the second).
        before, after: The values; None where there is none.
    """

    key: str
    kind: str
    before: Any
    after: Any

    def __str__(self) -> str:
        lines = []
        if self.kind != "added":
            lines.append(f"- {self.key} = {self.before!r}")
        if self.kind != "removed":
            lines.append(f"+ {self.key} = {self.after!r}")
        return "\n".join(lines)


def compare(
    first: str | Path, second: str | Path, *, cfg_options: Mapping[str, Any] | Sequence[str] | None = None
) -> tuple[Difference, ...]:
    """Return the differences between two configs, bases merged.

    Args:
        first: A config.
        second: Another.
        cfg_options: Overrides of the second: what they change, where both are the same file.

    Returns:
        One entry for each key whose value differs, in the order of the keys.

    Raises:
        ConfigError: One cannot be read, or an override does not fit.

    Examples:
        >>> from segship.tools.config import compare
        >>> compare("config.py", "config.py", cfg_options=["model.decode_head.channels=32"])[0].key
        'model.decode_head.channels'
    """
    return tuple(_differences("", resolve(first).values, resolve(second, cfg_options=cfg_options).values))


def _differences(key: str, before: Any, after: Any) -> Iterator[Difference]:
    if (pairs := _pairs(before, after)) is not None:
        for name, old, new in pairs:
            yield from _differences(f"{key}.{name}" if key else str(name), old, new)
    elif before is _ABSENT:
        yield Difference(key, "added", None, after)
    elif after is _ABSENT:
        yield Difference(key, "removed", before, None)
    elif type(before) is not type(after) or before != after:
        yield Difference(key, "changed", before, after)


def _pairs(before: Any, after: Any) -> list[tuple[Any, Any, Any]] | None:
    """What stands in two containers under each name or number; None: they are compared as they are."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys([*before, *after])
        return [(name, before.get(name, _ABSENT), after.get(name, _ABSENT)) for name in names]
    if isinstance(before, (list, tuple)) and type(before) is type(after) and _worth_entering(before, after):
        pairs = itertools.zip_longest(before, after, fillvalue=_ABSENT)
        return [(number, old, new) for number, (old, new) in enumerate(pairs)]
    return None


def _worth_entering(before: Sequence[Any], after: Sequence[Any]) -> bool:
    """Lists of plain numbers and words are compared as a whole: ``(512, 1024)`` reads better than two lines."""
    return any(isinstance(item, (dict, list, tuple)) for item in (*before, *after))
