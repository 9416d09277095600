"""YAML and JSON files, read as plain data: no tags that make objects, and only as large as real ones are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, MissingExtraError
from segship.reading.limits import Allowance, TooMuchError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["parse_yaml", "read_mapping"]

_MAXIMUM_BYTES = 8 * 2**20
_VALUES = 2_000_000


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML or JSON file holds.

    Args:
        path: ``.json``; anything else is read as YAML.

    Raises:
        ConfigError: The file cannot be read, is no mapping, or asks for objects instead of plain values.
    """
    try:
        size = path.stat().st_size
        if size > _MAXIMUM_BYTES:
            raise ConfigError(f"{path} has {size} bytes, more than any description of a network")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    values = _parse_json(text, path) if path.suffix == ".json" else parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}, expected names with values")
    return values


def _parse_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}") from None


def parse_yaml(text: str, what: str) -> Any:
    """The plain values that YAML text holds; tuples that Python's dumper marks as such become tuples.

    Args:
        text: At most a few megabytes.
        what: Its name, for messages.

    Raises:
        ConfigError: It is no YAML, or asks for objects instead of plain values.
    """
    try:
        import yaml  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("Reading YAML", "export", "yaml") from error

    def _tuple(loader: yaml.SafeLoader, node: yaml.Node) -> tuple[Any, ...]:
        return tuple(loader.construct_sequence(node)) if isinstance(node, yaml.SequenceNode) else ()

    class Plain(yaml.SafeLoader):
        """Knows one tag more than the safe loader, which makes nothing but a tuple of plain values."""

    Plain.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
    try:
        values = yaml.load(text, Loader=Plain)  # noqa: S506  (a safe loader)
        Allowance(_VALUES).weigh(values)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise ConfigError(f"{what} is no YAML of plain values: {' '.join(str(error).split())[:300]}") from None
    except TooMuchError as error:
        raise ConfigError(f"{what} cannot be used: {error}") from None
    return values
