"""Graphs of other makers: which of their inputs and outputs are an image, scores and labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from segship.core.errors import UnsupportedError
from segship.core.spec import SizeRule

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from segship.core.artifacts import TensorInfo

__all__ = ["ImagePort", "fixed", "only_image", "only_output", "shown", "sizes_of"]

_IMAGE = 4  # dimensions of (N, C, H, W)
_LABELS = 3
_MOST_CHANNELS = 16  # of an axis that is taken for the channels because of where it stands
_LARGEST = 2**27  # numbers of an input: four images of 3 x 2048 x 4096, and more


class ImagePort(NamedTuple):
    """The input that takes the image.

    Attributes:
        info: Its name, element type and shape (N, C, H, W).
        last: Whether its channels are in truth the last axis: (N, H, W, C).
    """

    info: TensorInfo
    last: bool


def only_image(inputs: Sequence[TensorInfo], path: Path) -> ImagePort:
    """Return the input.

    Args:
        inputs: All that the file takes.
        path: The file, for messages.

    Raises:
        UnsupportedError: It is not one float32 image (N, C, H, W) or (N, H, W, C); the message shows what was found.
    """
    images = [value for value in inputs if len(value.shape) == _IMAGE] if len(inputs) == 1 else []
    if images and images[0].dtype == "float32":
        image = images[0]
        numbers = math.prod(fixed(image, axis) or 1 for axis in range(_IMAGE))
        if numbers > _LARGEST:
            raise UnsupportedError(f"{path} takes {shown(image)}: more than {_LARGEST} numbers are no image")
        if not _channels_last(image):
            return ImagePort(image, last=False)
        batch, *sides, channels = image.shape
        return ImagePort(image.model_copy(update={"shape": (batch, channels, *sides)}), last=True)
    found = "; ".join(map(shown, inputs)) or "nothing"
    advice = f": export it again with a float32 input, or put a Cast to {images[0].dtype} behind one" if images else ""
    raise UnsupportedError(f"{path} takes {found}; expected one float32 image (N, channels, H, W){advice}")


def _channels_last(value: TensorInfo) -> bool:
    """Whether the last axis is as short as channels are, and the two before it are free or as long as sides are."""
    channels, sides = fixed(value, 3), (fixed(value, 1), fixed(value, 2))
    if channels is None or channels > _MOST_CHANNELS:
        return False
    return all(side is None or side > _MOST_CHANNELS for side in sides)


def only_output(outputs: Sequence[TensorInfo], name: Any, path: Path) -> TensorInfo:
    """Return the output that may hold scores (N, K, h, w) or labels (N, H, W), with channels first or last.

    Args:
        outputs: All that the file returns.
        name: The one the user chose, or None.
        path: The file, for messages.

    Raises:
        UnsupportedError: None does, or several might; the message shows what was found.
    """
    chosen = [value for value in outputs if name in (None, value.name)]
    fitting = [value for value in chosen if _is_labels(value) or _is_scores(value)]
    # Labels are seldom float, so these count only where nothing else does.
    fitting = fitting or [value for value in chosen if _is_scores(value, _LABELS)]
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


def _is_scores(value: TensorInfo, rank: int = _IMAGE) -> bool:
    return value.dtype == "float32" and len(value.shape) == rank


def _is_labels(value: TensorInfo) -> bool:
    """Whether an output holds whole numbers (N, H, W), (N, 1, H, W) or (N, H, W, 1)."""
    rank, whole = len(value.shape), value.is_whole or value.dtype == "bool"
    return whole and (rank == _LABELS or (rank == _IMAGE and 1 in {fixed(value, 1), fixed(value, 3)}))


def sizes_of(image: TensorInfo, described: SizeRule) -> SizeRule:
    """Return the sizes that a file's input allows; where it leaves height and width free, the description's.

    Raises:
        UnsupportedError: Only one of height and width is free, or it takes several images at once and no single one.
    """
    batch, height, width = (fixed(image, axis) for axis in (0, 2, 3))
    if batch is not None and batch > 1:
        raise UnsupportedError(
            f"the input is {shown(image)}: it takes {batch} images at once and no single one; export it again with a "
            "batch of 1, or a free one"
        )
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
