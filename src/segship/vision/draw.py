"""Pictures for people: overlays, legends, contact sheets. All arrays are uint8 RGB."""

from __future__ import annotations

import io
import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.vision.opencv_encode import encode_by_opencv
from segship.vision.palette import colorize, colour_blind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

__all__ = [
    "PaletteKind",
    "Style",
    "contact_sheet",
    "contours",
    "encode_jpeg",
    "legend",
    "overlay",
    "picture",
    "write_jpeg",
    "write_png",
]

PaletteKind: TypeAlias = Literal["package", "colour-blind"]

_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_GAP = 8  # pixels between pictures and around text
_LINE = 500  # of an image's shorter side a pixel of a contour's width
_LEAST_LEGEND = 160  # pixels


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


@dataclass(frozen=True)
class Style:
    """How a mask is drawn over its image.

    Attributes:
        opacity: Of the colours, 0-1.
        legend: Whether the classes that occur are named beneath.
        contours: Whether a white line goes along the borders of classes.
        palette: ``package``: the package's colours; ``colour-blind``: `segship.vision.palette.colour_blind`.

    Raises:
        InputError: There is no such palette.
    """

    opacity: float = 0.5
    legend: bool = False
    contours: bool = False
    palette: PaletteKind = "package"

    def __post_init__(self) -> None:
        if self.palette not in ("package", "colour-blind"):
            raise InputError(f"there is no palette {self.palette!r:.80}: expected package or colour-blind")

    def settings(self) -> dict[str, Any]:
        """What is not as usual, as JSON has it."""
        usual = asdict(Style())
        return {key: value for key, value in asdict(self).items() if value != usual[key]}


def picture(
    image: NDArray[np.uint8],
    mask: NDArray[Any],
    classes: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    style: Style,
) -> NDArray[np.uint8]:
    """Draw a mask over its image.

    Args:
        image: uint8 (H, W, 3), RGB.
        mask: Labels (H, W).
        classes: Name of each class.
        palette: RGB of each class, where ``style`` asks for the package's.
        style: How.

    Returns:
        uint8 RGB (H, W, 3); with a legend higher, and as wide as the image or as the legend needs at least.

    Raises:
        InputError: As for `overlay`.
    """
    colours = colour_blind(len(classes)) if style.palette == "colour-blind" else palette
    drawn = overlay(image, mask, colours, style.opacity)
    if style.contours:
        drawn[contours(mask)] = 255
    if not style.legend:
        return drawn
    labels = [int(label) for label in np.unique(mask) if label < len(classes)]
    width = max(drawn.shape[1], _LEAST_LEGEND)
    strip = legend([classes[label] for label in labels], [colours[label] for label in labels], width=width)
    room = np.full((drawn.shape[0], width - drawn.shape[1], 3), _PAPER, np.uint8)
    return np.vstack([np.hstack([drawn, room]), strip])


def contours(mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Where the borders between labels are, in lines that are as wide as the image is large.

    Args:
        mask: Labels (H, W).

    Returns:
        (H, W).
    """
    found = np.zeros(mask.shape, np.uint8)
    found[:-1] |= mask[:-1] != mask[1:]
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    width = max(1, round(min(mask.shape) / _LINE))
    return np.asarray(cv2.dilate(found, np.ones((width, width), np.uint8)), bool)


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
    from PIL import Image, ImageDraw, ImageFont  # a mask has no letters

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
    from PIL import Image, ImageDraw, ImageFont

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
    from PIL import Image

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
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def _encode(suffix: str, image: NDArray[np.uint8], options: list[int]) -> bytes:
    if max(image.shape[:2]) > 65535:  # the format's own limit
        raise InputError(f"JPEG holds at most 65535 pixels a side, the image has {image.shape[:2]}: write PNG")
    return encode_by_opencv(suffix, cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR), options)
