"""Pictures for people: overlays, legends, contact sheets. All arrays are uint8 RGB."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.core.memory import is_out_of_memory
from segship.vision.palette import colorize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["contact_sheet", "encode_jpeg", "legend", "overlay", "write_jpeg", "write_png"]

_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_GAP = 8  # pixels between pictures and around text


def overlay(
    image: NDArray[np.uint8], mask: NDArray[Any], palette: Sequence[tuple[int, int, int]], opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Return the colours of a mask over its image.

    Args:
        image: uint8 (H, W, 3), RGB.
        mask: Labels (H, W).
        palette: RGB of each class; labels without a colour leave the image as it is.
        opacity: 0: the image alone; 1: the colours alone.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        InputError: The sizes differ, or ``opacity`` is not within 0-1.
    """
    if image.shape[:2] != mask.shape:
        raise InputError(f"the image is {image.shape[:2]} pixels, its mask {mask.shape}: they must be equal")
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is within 0-1, not {opacity}")
    mixed = cv2.addWeighted(colorize(mask, palette), opacity, np.ascontiguousarray(image), 1 - opacity, 0)
    drawn: NDArray[np.uint8] = np.asarray(mixed, np.uint8)
    unlabelled = mask >= len(palette)
    if unlabelled.any():
        drawn[unlabelled] = image[unlabelled]
    return drawn


def legend(
    classes: Sequence[str], palette: Sequence[tuple[int, int, int]], *, width: int, size: int = 14
) -> NDArray[np.uint8]:
    """Return a strip that names the colours, in as many lines as ``width`` demands.

    Args:
        classes: Name of each class.
        palette: RGB of each class.
        width: Of the strip, in pixels.
        size: Of the letters, in pixels.

    Returns:
        uint8 (H, width, 3), RGB.
    """
    from PIL import ImageDraw, ImageFont  # noqa: PLC0415  (a mask has no letters)

    font = ImageFont.load_default(size)
    line = size + _GAP
    places = []
    x, y = _GAP, _GAP
    for name in classes:
        advance = line + int(font.getlength(name)) + 2 * _GAP
        if x + advance > width and x > _GAP:
            x, y = _GAP, y + line
        places.append((x, y))
        x += advance
    strip = Image.new("RGB", (width, y + line), _PAPER)
    pen = ImageDraw.Draw(strip)
    for (left, top), name, colour in zip(places, classes, palette, strict=True):
        pen.rectangle((left, top, left + size - 1, top + size - 1), fill=tuple(colour), outline=_INK)
        pen.text((left + line, top + size // 2), name, fill=_INK, font=font, anchor="lm")
    return np.array(strip)


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]], *, titles: Sequence[str] = (), columns: int = 3, width: int = 480
) -> NDArray[np.uint8]:
    """Pictures side by side, row by row, under one title for each column.

    Args:
        pictures: uint8 (H, W, 3), RGB, of any sizes.
        titles: One for each column, or none.
        columns: Pictures in a row.
        width: To which every picture is scaled, in pixels; no picture is enlarged.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        InputError: There is no picture, or there are more titles than columns.
    """
    if not pictures or len(titles) > columns:
        raise InputError(f"a contact sheet has pictures and at most one title a column: {len(pictures)}, {len(titles)}")
    from PIL import ImageDraw, ImageFont  # noqa: PLC0415

    tiles = [_shrunk(picture, width) for picture in pictures]
    rows = [tiles[first : first + columns] for first in range(0, len(tiles), columns)]
    widths = [max(tile.width for tile in tiles[column::columns]) for column in range(len(rows[0]))]
    heights = [max(tile.height for tile in row) for row in rows]
    head = 3 * _GAP if titles else 0
    *lefts, right = _places(widths, _GAP)
    *tops, bottom = _places(heights, _GAP + head)
    sheet = Image.new("RGB", (right, bottom), _PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(2 * _GAP)
    for left, side, title in zip(lefts, widths, titles, strict=False):
        pen.text((left + side / 2, _GAP + head / 2), title, fill=_INK, font=font, anchor="mm")
    for top, row in zip(tops, rows, strict=True):
        for left, tile in zip(lefts, row, strict=False):
            sheet.paste(tile, (left, top))
    return np.array(sheet)


def _places(sides: Sequence[int], first: int) -> list[int]:
    """Where each of several things begins that stand in a row, with gaps between; and where the row ends."""
    return list(itertools.accumulate((side + _GAP for side in sides), initial=first))


def _shrunk(picture: NDArray[np.uint8], width: int) -> Image.Image:
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    if picture.shape[1] <= width:
        return Image.fromarray(np.ascontiguousarray(picture))
    return Image.fromarray(np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8))


def write_jpeg(path: Path, image: NDArray[np.uint8], *, quality: int = 90) -> None:
    """Write ``image`` (uint8 RGB) as JPEG; its folder is made if need be.

    Raises:
        InputError: The file cannot be written.
    """
    write_atomically(path, encode_jpeg(image, quality=quality))


def encode_jpeg(image: NDArray[np.uint8], *, quality: int = 90) -> bytes:
    """``image`` (uint8 RGB) as JPEG.

    Raises:
        InputError: A side is longer than the format allows.
    """
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write ``image`` (uint8 RGB, or grey of two axes) as PNG; its folder is made if need be.

    Raises:
        InputError: The file cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def _encode(suffix: str, image: NDArray[np.uint8], options: list[int]) -> bytes:
    if max(image.shape[:2]) > 65535:  # the format's own limit
        raise InputError(f"JPEG holds at most 65535 pixels a side, the image has {image.shape[:2]}: write PNG")
    try:
        done, data = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise
    if not done:
        raise InputError(f"the image of shape {image.shape} cannot be encoded as {suffix}")
    return bytes(data)
