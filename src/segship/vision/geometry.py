"""Geometry of the uint8 image before normalisation: resize and pad.

Sizes follow mmcv's ``Resize`` and ``Pad``, mmseg's ``ResizeShortestEdge``, Hugging Face's image processors,
PaddleSeg's transforms and Segmenter's inference to the pixel; mmcv's arithmetic is double
precision with ``int(x + 0.5)`` because the rounding of a half decides whether a mask is one column wider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np
from PIL import Image

from segship.core.errors import InputError
from segship.core.spec import (
    Letterbox,
    Pad,
    ResizeByEdge,
    ResizeEdges,
    ResizeNear,
    ResizeShortestEdge,
    ResizeToMultiple,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segship.core.spec import GeometryStep, Interpolation, Resize

__all__ = ["Pixels", "apply", "letterboxed", "output_size", "padded_size"]

Pixels: TypeAlias = "NDArray[np.uint8 | np.uint16 | np.float32]"

_PILLOW = {"pillow_bilinear": Image.Resampling.BILINEAR, "pillow_bicubic": Image.Resampling.BICUBIC}


def apply(step: GeometryStep, image: Pixels) -> Pixels:
    """Run one step.

    Args:
        step: What to do.
        image: uint8, uint16 or float32 (H, W, C).

    Returns:
        (H', W', C) with ``(H', W') = output_size(step, H, W)``, of the same type, or float32 after a step that does not
        round or pads with a fraction; the image itself where nothing changes.

    Raises:
        InputError: The image would have no pixels left.
    """
    height, width = image.shape[:2]
    new_height, new_width = output_size(step, height, width)
    if (new_height, new_width) == (height, width):
        return image
    if isinstance(step, Letterbox):
        size, origin = letterboxed(step, height, width)
        inner = image if size == (height, width) else _resize(image, size[::-1], "bilinear")
        return _framed(inner, (new_height, new_width), origin, step.value)
    if isinstance(step, Pad):
        return _framed(image, (new_height, new_width), (0, 0), step.value)
    interpolation = "bilinear" if isinstance(step, (ResizeShortestEdge, ResizeToMultiple)) else step.interpolation
    return _resize(image, (new_width, new_height), interpolation)


def _framed(image: Pixels, size: tuple[int, int], origin: tuple[int, int], value: tuple[float, ...]) -> Pixels:
    """``image`` at ``origin`` (top, left) of a larger one of ``size`` (height, width)."""
    height, width, channels = image.shape
    value = value if len(value) == channels else (value[0],) * channels
    whole = image.dtype.kind == "f" or all(number.is_integer() for number in value)
    framed = np.empty((*size, channels), image.dtype if whole else np.float32)
    framed[:] = np.asarray(value)
    framed[origin[0] : origin[0] + height, origin[1] : origin[1] + width] = image
    return framed


def _resize(image: Pixels, size: tuple[int, int], interpolation: Interpolation) -> Pixels:
    """``image`` at ``size`` (width, height)."""
    if interpolation == "float_bilinear":
        image = image.astype(np.float32, copy=False)
    if interpolation not in _PILLOW:
        return _three_axes(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR))
    bands = (image[:, :, band] for band in range(image.shape[2]))
    resized = [np.asarray(Image.fromarray(band).resize(size, _PILLOW[interpolation])) for band in bands]
    return np.stack(resized, axis=2)


def output_size(step: GeometryStep, height: int, width: int) -> tuple[int, int]:
    """Size (height, width) of an image of ``height`` x ``width`` pixels after ``step``.

    Raises:
        InputError: The image would have no pixels left.
    """
    if isinstance(step, Pad):
        return padded_size(height, width, to=(step.height, step.width), multiple_of=step.multiple_of)
    if isinstance(step, Letterbox):
        return step.height, step.width
    if isinstance(step, ResizeToMultiple):
        return padded_size(height, width, to=(None, None), multiple_of=step.multiple_of)
    size = _resized(step, height, width)
    if min(size) < 1:
        raise InputError(
            f"an image of {height}x{width} pixels (height x width) would be resized to {size[0]}x{size[1]}: "
            "it is too narrow for this network's resize rule, cut it into pieces"
        )
    return size


def letterboxed(step: Letterbox, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size (height, width) of an image in its frame, and where it begins there (top, left)."""
    scale = min(step.height / height, step.width / width)
    rows, columns = max(round(height * scale), 1), max(round(width * scale), 1)
    # Of an odd margin the smaller half comes first; a tenth keeps the rounding of halves out of it.
    return (rows, columns), (round((step.height - rows) / 2 - 0.1), round((step.width - columns) / 2 - 0.1))


def _resized(
    step: Resize | ResizeShortestEdge | ResizeByEdge | ResizeEdges | ResizeNear, height: int, width: int
) -> tuple[int, int]:
    if isinstance(step, ResizeShortestEdge):
        return _within(_shortest_edge_limits(step, height, width), height, width)
    if isinstance(step, ResizeByEdge):
        return _by_edge(step, height, width)
    if isinstance(step, ResizeEdges):
        return _edges(step, height, width)
    if isinstance(step, ResizeNear):
        return _near(step, height, width)
    if step.keep_ratio:
        return _within((step.width, step.height), height, width)
    return step.height, step.width


def padded_size(
    height: int, width: int, *, to: tuple[int | None, int | None], multiple_of: int | None
) -> tuple[int, int]:
    """Size after padding at the bottom and right.

    Args:
        height: Height of the image.
        width: Width of the image.
        to: (height, width) that the result has at least; None leaves that side.
        multiple_of: Each side is then raised to the next multiple; None leaves both.

    Returns:
        (height, width), never smaller than the image.
    """
    multiple = multiple_of or 1
    sides = (max(height, to[0] or 0), max(width, to[1] or 0))
    return (-(-sides[0] // multiple) * multiple, -(-sides[1] // multiple) * multiple)


def _within(limits: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """The largest size of the same aspect ratio whose long and short edge stay within the larger and smaller limit."""
    factor = min(max(limits) / max(height, width), min(limits) / min(height, width))
    return (int(height * factor + 0.5), int(width * factor + 0.5))


def _shortest_edge_limits(step: ResizeShortestEdge, height: int, width: int) -> tuple[int, int]:
    """The two edge limits that the short-edge rule hands on to the ratio-keeping resize."""
    size = float(step.size)
    factor = size / min(height, width)
    new_height, new_width = (size, factor * width) if height < width else (factor * height, size)
    longest = max(new_height, new_width)
    if longest > step.max_size:
        shrink = step.max_size / longest
        new_height, new_width = new_height * shrink, new_width * shrink
    return (int(new_width + 0.5), int(new_height + 0.5))


def _by_edge(step: ResizeByEdge, height: int, width: int) -> tuple[int, int]:
    lengths = ((step.short, min(height, width)), (step.long, max(height, width)))
    factor = min(wanted / found for wanted, found in lengths if wanted is not None)
    return round(height * factor), round(width * factor)


def _edges(step: ResizeEdges, height: int, width: int) -> tuple[int, int]:
    short, long = min(height, width), max(height, width)
    if step.enlarge_only:
        # The ratio first, as Segmenter computes it: it decides whether a product that is a whole number stays one.
        sides = (short, long) if short >= step.short else (step.short, int(long / short * step.short))
    else:
        exact: float = step.short
        if step.long is not None and long / short * step.short > step.long:
            exact = step.long * short / long
        sides = (round(exact), int(exact * long / short)) if round(exact) != short else (short, long)
    size = sides if height <= width else sides[::-1]
    return padded_size(*size, to=(None, None), multiple_of=step.multiple_of)


def _near(step: ResizeNear, height: int, width: int) -> tuple[int, int]:
    tall, wide = step.height / height, step.width / width
    scale = wide if abs(1 - wide) < abs(1 - tall) else tall
    rows, columns = (round(scale * side / step.multiple_of) * step.multiple_of for side in (height, width))
    return rows, columns


def _three_axes(image: NDArray[Any]) -> Pixels:
    """OpenCV drops the last axis of single-channel images."""
    array: Pixels = np.asarray(image)
    return array if array.ndim == 3 else array[:, :, None]
