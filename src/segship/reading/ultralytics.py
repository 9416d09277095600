"""What Ultralytics writes into its exports, or beside them, about a network."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from segship.core.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_ultralytics"]

_MAXIMUM_NAMES = 2**20
_SIDES = 2
_MARGIN = 114.0  # grey


def read_ultralytics(metadata: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the description of a semantic network of Ultralytics; None for files of others.

    Args:
        metadata: As its YAML file holds it, or with every value as text, as ONNX does.
        path: The file, for messages.

    Raises:
        UnsupportedError: The network is for another task.
    """
    if metadata.get("author") != "Ultralytics":
        return None
    task = metadata.get("task")
    if task not in {"semantic", "sem"}:
        raise UnsupportedError(f"{path} is a network for the task {task!r} of Ultralytics; semantic ones are provided")
    names, size = _plain(metadata.get("names"), dict), _plain(metadata.get("imgsz"), list)
    said: dict[str, Any] = {"normalization": {"channel_order": "rgb", "max_pixel_value": 255}}
    said["architecture"] = str(metadata.get("description", path.stem)).strip()
    if names:
        classes = [str(names[key]) for key in sorted(names)]
        # The only class of a binary network is what is found, label 1.
        said["classes"] = classes if len(classes) > 1 else ["background", *classes]
    if len(size) == _SIDES:
        frame = {"height": int(size[0]), "width": int(size[1])}
        said["geometry"] = [{"kind": "letterbox", "value": (_MARGIN,) * 3, **frame}]
    return said


def _plain(value: Any, kind: type[Any]) -> Any:
    """``value``, or the literal that it is as text; an empty one where it is of another kind."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value) if len(value) <= _MAXIMUM_NAMES else None
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
    return value if isinstance(value, kind) else kind()
