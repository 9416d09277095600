"""The confusion matrix as a table and as a picture."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segship.core.errors import InputError
from segship.core.files import write_atomically
from segship.vision.draw import write_png

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import TypeAlias

    from numpy.typing import NDArray

    Font: TypeAlias = ImageFont.ImageFont | ImageFont.FreeTypeFont

__all__ = ["draw_matrix", "write_matrix"]

_DARK = np.array((8, 48, 107), np.float64)  # of a share of 1; 0 is white
_INK, _GRID = (32, 32, 32), (225, 225, 225)
_MANY = 40  # classes: beyond them numbers do not fit into the cells


def write_matrix(path: Path, classes: Sequence[str], matrix: NDArray[np.int64]) -> None:
    """Write a confusion matrix: pixels as ``.csv``, shares of the true class as a ``.png`` picture.

    Args:
        path: Its suffix says which.
        classes: Name of each class.
        matrix: int64 (classes, classes); rows true, columns predicted.

    Raises:
        InputError: The suffix is another, or the file cannot be written.
    """
    if path.suffix == ".png":
        write_png(path, draw_matrix(classes, matrix))
    elif path.suffix == ".csv":
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["true \\ predicted", *classes])
        rows.writerows([name, *row] for name, row in zip(classes, matrix.tolist(), strict=True))
        write_atomically(path, text.getvalue().encode())
    else:
        raise InputError(f"a confusion matrix is written as .csv or .png, not as {path.name}")


def draw_matrix(classes: Sequence[str], matrix: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A picture of a confusion matrix: each row in per cent of the class's pixels.

    Args:
        classes: Name of each class.
        matrix: int64 (classes, classes); rows true, columns predicted.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    count = len(classes)
    cell, size = (44, 14) if count <= _MANY else (14, 11)
    font = ImageFont.load_default(size)
    margin = int(max(font.getlength(name) for name in (*classes, "true \\ predicted"))) + 24
    side = margin + count * cell + 12
    picture = Image.new("RGB", (side, side), (255, 255, 255))
    pen = ImageDraw.Draw(picture)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    for row, column in np.ndindex(count, count):
        left, top = margin + column * cell, margin + row * cell
        share = float(shares[row, column])
        colour = tuple(int(value) for value in 255 - share * (255 - _DARK))
        pen.rectangle((left, top, left + cell, top + cell), fill=colour, outline=_GRID)
        if count <= _MANY and share >= 0.005:  # noqa: PLR2004  # less is shown as "0"
            ink = (255, 255, 255) if share > 0.5 else _INK  # noqa: PLR2004
            pen.text((left + cell / 2, top + cell / 2), f"{100 * share:.0f}", fill=ink, font=font, anchor="mm")
    _name_rows(picture, classes, font, margin, cell)
    return np.array(picture)


def _name_rows(picture: Image.Image, classes: Sequence[str], font: Font, margin: int, cell: int) -> None:
    """True classes at the left, predicted ones on top, read upwards."""
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(classes):
        start = margin + row * cell
        pen.text((margin - 8, start + cell / 2), name, fill=_INK, font=font, anchor="rm")
        strip = Image.new("RGB", (margin - 4, cell), (255, 255, 255))
        ImageDraw.Draw(strip).text((4, cell / 2), name, fill=_INK, font=font, anchor="lm")
        picture.paste(strip.transpose(Image.Transpose.ROTATE_90), (start, 0))
    pen.text((margin - 8, margin - 12), "true \\ predicted", fill=_INK, font=font, anchor="rm")
