"""A config as text: Python that reads back equal, YAML or JSON."""

from __future__ import annotations

import json
import keyword
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, did_you_mean
from segship.reading.configs.config import read_config
from segship.reading.documents import read_mapping
from segship.reading.options import merge_options
from segship.tools.extras import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FORMATS", "ResolvedConfig", "resolve", "to_python"]

_WIDTH = 120
_INDENT = 4


@dataclass(frozen=True)
class ResolvedConfig:
    """A config with its bases and overrides merged.

    Attributes:
        path: The file.
        values: Plain dictionaries, lists, tuples, strings and numbers.
        files: All files that were read, the config first.
    """

    path: Path
    values: Mapping[str, Any]
    files: tuple[Path, ...]

    def text(self, format: str = "python") -> str:  # noqa: A002  (the word users know)
        """Return the config as ``python``, ``yaml`` or ``json``; tuples are lists in the latter two.

        Args:
            format: One of `FORMATS`.

        Returns:
            The text; Python reads back as an equal config.

        Raises:
            InputError: No format has that name.
            MissingExtraError: YAML is not installed.
        """
        if format not in FORMATS:
            raise InputError(
                f"no format is called {format!r}, known are {', '.join(FORMATS)}.{did_you_mean(format, FORMATS)}"
            )
        return FORMATS[format](self.values)


def resolve(config: str | Path, *, cfg_options: Mapping[str, Any] | Sequence[str] | None = None) -> ResolvedConfig:
    """Read a config without running it, its bases with it, and lay overrides over it.

    Args:
        config: MMSegmentation's ``.py`` or ``.json``; ``.yml`` and ``.yaml`` are read as plain data.
        cfg_options: Overrides, ``"key.sub=value"``.

    Returns:
        The config.

    Raises:
        ConfigError: A file cannot be read, or an override does not fit.
    """
    path = Path(config)
    if path.suffix in {".yml", ".yaml"}:
        values = read_mapping(path)
        return ResolvedConfig(path, merge_options(values, cfg_options) if cfg_options else values, (path,))
    read = read_config(path, cfg_options)
    return ResolvedConfig(path, read.values, read.files)


def to_python(values: Mapping[str, Any]) -> str:
    """Return assignments, one for each key, in order."""
    return "".join(f"{key} = {_python(value, 0, len(key) + 3)}\n" for key, value in values.items())


def _python(value: Any, indent: int, used: int = 0) -> str:
    """``value`` on one line where it fits beside the ``used`` characters before it, else one item a line."""
    if not isinstance(value, (dict, list, tuple)) or not value:
        return _single(value)
    opening, closing, items = _parts(value)
    single = _one_line(value)
    if indent + used + len(single) + 1 <= _WIDTH:
        return single
    margin = " " * (indent + _INDENT)
    lines = (f"{margin}{name}{_python(item, indent + _INDENT, len(name))},\n" for name, item in items)
    return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"


def _one_line(value: Any) -> str:
    if not isinstance(value, (dict, list, tuple)) or not value:
        return _single(value)
    opening, closing, items = _parts(value)
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    return f"{opening}{', '.join(f'{name}{_one_line(item)}' for name, item in items)}{comma}{closing}"


def _parts(value: Any) -> tuple[str, str, list[tuple[str, Any]]]:
    """Brackets, and each item with what stands before it."""
    if isinstance(value, (list, tuple)):
        opening, closing = "[]" if isinstance(value, list) else "()"
        return opening, closing, [("", item) for item in value]
    if all(isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key) for key in value):
        return "dict(", ")", [(f"{key}=", item) for key, item in value.items()]
    return "{", "}", [(f"{key!r}: ", item) for key, item in value.items()]


def _single(value: Any) -> str:
    if isinstance(value, dict):
        return "dict()"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)


def _to_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _to_yaml(values: Mapping[str, Any]) -> str:
    require("Writing YAML", "export", "yaml")
    import yaml

    return str(yaml.safe_dump(_lists(values), sort_keys=False, allow_unicode=True, width=_WIDTH))


def _lists(value: Any) -> Any:
    """``value`` with lists in place of tuples, and no list in two places, which YAML would write as references."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_lists(item) for item in value]
    return value


FORMATS: dict[str, Callable[[Mapping[str, Any]], str]] = {"python": to_python, "yaml": _to_yaml, "json": _to_json}
"""How a config can be written, by name."""
