"""Graphs of other makers: which of their inputs and outputs are an image, scores and labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from segship.core.errors import UnsupportedError
from segship.core.spec import SizeRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.core.artifacts import TensorInfo

__all__ = ["fixed", "is_labels", "only_image", "scores_or_labels", "shown", "sizes_of"]

_IMAGE = 4  # dimensions of (N, C, H, W)
_LABELS = 3
_CHANNELS = {1, 3, 4}
_LARGEST = 2**27  # numbers of an input: four images of 3 x 2048 x 4096, and more


def only_image(inputs: Sequence[TensorInfo], path: Path) -> TensorInfo:
    """Return the input.

    Args:
        inputs: All that the file takes.
        path: The file, for messages.

    Raises:
        UnsupportedError: It is not one float32 image (N, C, H, W); the message shows what was found.
    """
    if len(inputs) == 1 and _is_image(inputs[0]):
        numbers = math.prod(fixed(inputs[0], axis) or 1 for axis in range(_IMAGE))
        if numbers > _LARGEST:
            raise UnsupportedError(f"{path} takes {shown(inputs[0])}: more than {_LARGEST} numbers are no image")
        return inputs[0]
    found = "; ".join(map(shown, inputs)) or "nothing"
    raise UnsupportedError(f"{path} takes {found}; expected one float32 image (N, channels, H, W)")


def _is_image(value: TensorInfo) -> bool:
    if value.dtype != "float32" or len(value.shape) != _IMAGE:
        return False
    return not (fixed(value, 3) in _CHANNELS and fixed(value, 1) not in _CHANNELS)  # channels last


def scores_or_labels(outputs: Sequence[TensorInfo], name: Any, path: Path) -> TensorInfo:
    """Return the output that holds scores (N, K, h, w) or labels (N, H, W).

    Args:
        outputs: All that the file returns.
        name: The one the user chose, or None.
        path: The file, for messages.

    Raises:
        UnsupportedError: None does, or several might; the message shows what was found.
    """
    chosen = [value for value in outputs if value.name == name] if name is not None else outputs
    fitting = [value for value in chosen if is_labels(value) or _is_scores(value)]
    if len(fitting) == 1:
        return fitting[0]
    found = "; ".join(map(shown, outputs))
    how = (
        "choose one with --cfg-options output_name=NAME" if len(fitting) > 1 else "export it again without what follows"
    )
    raise UnsupportedError(
        f"{path} returns {found}; expected one output of float32 scores (N, classes, h, w) or whole-numbered labels "
        f"(N, H, W): {how}"
    )


def _is_scores(value: TensorInfo) -> bool:
    return value.dtype == "float32" and len(value.shape) == _IMAGE


def is_labels(value: TensorInfo) -> bool:
    """Return whether an output holds whole numbers (N, H, W) or (N, 1, H, W)."""
    rank = len(value.shape)
    return value.is_whole and (rank == _LABELS or (rank == _IMAGE and fixed(value, 1) == 1))


def sizes_of(image: TensorInfo, described: SizeRule) -> SizeRule:
    """Return the sizes that a file's input allows; where it leaves height and width free, the description's.

    Raises:
        UnsupportedError: Only one of height and width is free.
    """
    batch, height, width = (fixed(image, axis) for axis in (0, 2, 3))
    if height and width:
        return SizeRule(fixed=(height, width), batch=batch)
    if height or width:
        raise UnsupportedError(
            f"the input is {shown(image)}: only one of height and width is free, expected both or none"
        )
    return described.model_copy(update={"batch": batch})


def fixed(value: TensorInfo, axis: int) -> int | None:
    """Return the length of an axis, or None where it is free."""
    length = value.shape[axis] if axis < len(value.shape) else 0
    return length if isinstance(length, int) and length > 0 else None


def shown(value: TensorInfo) -> str:
    """For people: ``"scores: float32 (1, 19, 128, ?)"``."""
    return f"{value.name}: {value.dtype} ({', '.join(str(length or '?') for length in value.shape)})"
