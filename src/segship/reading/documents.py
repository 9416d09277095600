"""YAML and JSON files, read as plain data: no tags that make objects, and only as large as real ones are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, MissingExtraError, one_line
from segship.reading.limits import Allowance, TooMuchError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["parse_yaml", "read_mapping"]

_MAXIMUM_BYTES = 2**20  # the largest of Paddle's descriptions, with the names of 171 classes, has 12 kB
_VALUES = 20_000
_DIGITS = 100


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML or JSON file holds.

    Args:
        path: ``.json``; anything else is read as YAML.

    Raises:
        ConfigError: The file cannot be read, is no mapping, or asks for objects instead of plain values.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is not a file")
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_BYTES + 1)
        if len(data) > _MAXIMUM_BYTES:
            raise ConfigError(f"{path} has more than {_MAXIMUM_BYTES} bytes, more than any description of a network")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a name with a NUL
        raise ConfigError(f"{str(path)!r} cannot be read: {error}") from None
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
    """Return the plain values that YAML text holds; tuples that Python's dumper marks as such become tuples.

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

    allowance = Allowance(_VALUES)

    class Plain(yaml.SafeLoader):
        """Knows one tag more than the safe loader, which makes nothing but a tuple of plain values."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            allowance.spend()
            return super().compose_node(parent, index)

        def flatten_mapping(self, node: Any) -> None:
            super().flatten_mapping(node)
            allowance.spend(len(node.value))  # what is merged is copied

        def construct_yaml_int(self, node: Any) -> int:
            return super().construct_yaml_int(_short(node))

        def construct_yaml_float(self, node: Any) -> float:
            return super().construct_yaml_float(_short(node))

    Plain.add_constructor("tag:yaml.org,2002:python/tuple", _tuple)
    Plain.add_constructor("tag:yaml.org,2002:int", Plain.construct_yaml_int)
    Plain.add_constructor("tag:yaml.org,2002:float", Plain.construct_yaml_float)
    try:
        values = yaml.load(text, Loader=Plain)  # noqa: S506  (a safe loader)
        Allowance(_VALUES).weigh(values)
    except TooMuchError as error:
        raise ConfigError(f"{what} cannot be used: {error}") from None
    except Exception as error:  # noqa: BLE001 - PyYAML raises anything where a value does not fit its tag
        reason = one_line(error, joined=True) or type(error).__name__
        raise ConfigError(f"{what} is no YAML of plain values: {reason}") from None
    return values


def _tuple(loader: Any, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_sequence(node)) if node.id == "sequence" else ()


def _short(node: Any) -> Any:
    """``node``, a number; long ones of base 60 take quadratic time to read.

    Raises:
        ValueError: It is longer than any number of a description.
    """
    if len(str(node.value)) > _DIGITS:
        raise ValueError(f"a number has {len(str(node.value))} characters")
    return node
