"""Colours of classes, and label maps as files that carry them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.vision.opencv_encode import encode_by_opencv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["UNLABELLED", "colorize", "colour_blind", "encode_mask", "generate", "write_mask_png"]

UNLABELLED = (0, 0, 0)
"""Colour of labels that the palette does not hold, such as 255 for "ignore"."""

_BYTE_LABELS = 256
_PNG_HEADER, _PNG_SIZE, _PNG_REST = 8, 16, 33  # places in a file: its first chunk, the size in it, the second chunk
_BY_PALETTE = 3  # what the first chunk says of pixels that are numbers of colours
# M. Okabe, K. Ito, "Color Universal Design" (2008); black is last, which a dark image hides.
_OKABE_ITO = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167),
    (86, 180, 233), (213, 94, 0), (240, 228, 66), (0, 0, 0),
)  # fmt: skip


def generate(classes: int) -> tuple[tuple[int, int, int], ...]:
    """Distinct colours for classes that come without any.

    The bits of the class number are dealt out to red, green and blue in turn, highest weight first (the scheme of the
    PASCAL VOC label maps), so that near numbers get far colours. Class 0 is skipped past black.

    Args:
        classes: How many; up to 2**24 - 1 are distinct.

    Returns:
        RGB, 0-255, the same at every call.
    """
    return tuple(_deal(number + 1) for number in range(classes))


def colour_blind(classes: int) -> tuple[tuple[int, int, int], ...]:
    """Colours that people tell apart who do not see red, green or blue as most do.

    The first eight are those of Okabe and Ito; further ones are the same, ever lighter, which lightness alone tells
    apart.

    Args:
        classes: How many.

    Returns:
        RGB, 0-255, the same at every call.
    """
    rounds = -(-classes // len(_OKABE_ITO))
    shades = [
        [round(value + (255 - value) * 0.8 * step / rounds) for value in colour]
        for step in range(rounds)
        for colour in _OKABE_ITO
    ]
    return tuple((red, green, blue) for red, green, blue in shades[:classes])


def _deal(number: int) -> tuple[int, int, int]:
    red = green = blue = 0
    for bit in range(7, -1, -1):
        red |= (number & 1) << bit
        green |= (number >> 1 & 1) << bit
        blue |= (number >> 2 & 1) << bit
        number >>= 3
    return red, green, blue


def colorize(mask: NDArray[Any], palette: Sequence[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Return each label as its colour.

    Args:
        mask: Labels (H, W), any integer type.
        palette: RGB of each class.

    Returns:
        uint8 (H, W, 3), RGB; `UNLABELLED` where the palette has no such label.

    Raises:
        InputError: ``mask`` is not a label map.
    """
    if mask.ndim != 2 or mask.dtype.kind not in "ui":
        raise InputError(f"a mask is an integer array (height, width), not {mask.dtype} of shape {mask.shape}")
    size = _BYTE_LABELS if mask.dtype == np.uint8 else max(len(palette), 1) + 1
    table = np.zeros((size, 3), np.uint8)
    table[:] = UNLABELLED
    table[: len(palette)] = np.asarray(palette[:size], np.uint8).reshape(-1, 3)
    if mask.dtype == np.uint8:
        planes = [cv2.LUT(np.ascontiguousarray(mask), np.ascontiguousarray(table[:, channel])) for channel in range(3)]
        return np.asarray(cv2.merge(planes), np.uint8)
    known = (mask >= 0) & (mask < size - 1)
    return table[np.where(known, mask, size - 1)]


def encode_mask(mask: NDArray[Any], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """A label map as PNG: 8 bits with the palette embedded, or 16 bits grey when it has labels above 255.

    Args:
        mask: uint8 or uint16 (H, W).
        palette: RGB of each class.

    Raises:
        InputError: ``mask`` is no such array.
    """
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise InputError(f"a mask is uint8 or uint16 (height, width), not {mask.dtype} of shape {mask.shape}")
    # Label maps are flat: the fastest level is a third of the time of the default and a few per cent larger.
    data = encode_by_opencv(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data if mask.dtype == np.uint16 else _coloured(data, palette)


def _coloured(png: bytes, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """A grey PNG of 8 bits as one with a palette: its pixels are stored alike."""
    colours = np.zeros((_BYTE_LABELS, 3), np.uint8)
    colours[: len(palette)] = np.asarray(palette[:_BYTE_LABELS], np.uint8).reshape(-1, 3)
    width, height = struct.unpack_from(">II", png, _PNG_SIZE)
    header = struct.pack(">IIBBBBB", width, height, 8, _BY_PALETTE, 0, 0, 0)
    return png[:_PNG_HEADER] + _chunk(b"IHDR", header) + _chunk(b"PLTE", colours.tobytes()) + png[_PNG_REST:]


def _chunk(name: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def write_mask_png(path: Path, mask: NDArray[Any], palette: Sequence[tuple[int, int, int]]) -> None:
    """Write a label map as `encode_mask` makes it.

    Args:
        path: Where to; its folder is made if need be.
        mask: uint8 or uint16 (H, W).
        palette: RGB of each class.

    Raises:
        InputError: ``mask`` is no such array, or the file cannot be written.
    """
    write_atomically(path, encode_mask(mask, palette))
