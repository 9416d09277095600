"""What Ultralytics writes into its exports, or beside them, about a network."""

from __future__ import annotations

import ast
import contextlib
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_ultralytics"]

_MAXIMUM_NAMES = 2**20
_SIDES = 2
_LARGEST_SIDE = 2**14
_MARGIN = 114.0  # grey


def read_ultralytics(metadata: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the description of a semantic network of Ultralytics; None for files of others.

    Args:
        metadata: As its YAML file holds it, or with every value as text, as ONNX does.
        path: The file, for messages.

    Raises:
        ConfigError: The names or the size are none.
        UnsupportedError: The network is for another task.
    """
    if metadata.get("author") != "Ultralytics":
        return None
    task = metadata.get("task")
    if not isinstance(task, str) or task not in {"semantic", "sem"}:
        raise UnsupportedError(
            f"{path} is a network for the task {task!r:.60} of Ultralytics; semantic ones are provided"
        )
    said: dict[str, Any] = {"normalization": {"channel_order": "rgb", "max_pixel_value": 255}}
    said["architecture"] = str(metadata.get("description", path.stem)).strip()
    classes = _classes(_plain(metadata.get("names")), path)
    if classes:
        # The only class of a binary network is what is found, label 1.
        said["classes"] = classes if len(classes) > 1 else ["background", *classes]
    size = _plain(metadata.get("imgsz"))
    if size is not None:
        height, width = _sides(size, path)
        said["geometry"] = [{"kind": "letterbox", "value": (_MARGIN,) * 3, "height": height, "width": width}]
    return said


def _classes(names: Any, path: Path) -> list[str]:
    """The names in the order of the labels, from a list or a mapping whose keys are their numbers."""
    if names is None:
        return []
    if isinstance(names, list):
        names = dict(enumerate(names))
    numbers = {str(key): key for key in names} if isinstance(names, dict) else {}
    ordered = [names[numbers[str(label)]] for label in range(len(numbers)) if str(label) in numbers]
    if not ordered or len(ordered) != len(names) or not all(isinstance(name, (str, int)) for name in ordered):
        raise ConfigError(f"{path}: names is {names!r:.60} in Ultralytics' metadata, expected a name for 0, 1, …")
    return [str(name) for name in ordered]


def _sides(size: Any, path: Path) -> tuple[int, int]:
    """Height and width, of two numbers or of one for both."""
    sides = size if isinstance(size, (list, tuple)) else [size, size]
    whole = [
        side for side in sides if isinstance(side, (int, float)) and 1 <= side <= _LARGEST_SIDE and side == side // 1
    ]
    if len(whole) != _SIDES or len(sides) != _SIDES:
        raise ConfigError(
            f"{path}: imgsz is {size!r:.60} in Ultralytics' metadata, expected height and width up to {_LARGEST_SIDE}"
        )
    return int(whole[0]), int(whole[1])


def _plain(value: Any) -> Any:
    """``value``, or the literal that it is as text; the text where it is none."""
    if isinstance(value, str) and len(value) <= _MAXIMUM_NAMES:
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return ast.literal_eval(value)
    return value
