"""Formats of image files: known by their first bytes, their headers read by Pillow before any pixel is decoded.

Pillow is imported when it is needed: that takes longer than most images take to decode.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from segship.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

__all__ = ["IMAGE_SUFFIXES", "KNOWN", "Format", "decode_by_pillow", "find_format", "has_whole_chunks"]

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".npy"),
    *(".gif", ".jp2", ".j2k", ".jpx", ".avif", ".heic", ".heif", ".hif"),
)
"""Ends of the names of a folder's images, in any case."""

KNOWN = "PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, AVIF or HEIC"
"""The formats that are read, for messages."""

HEAD = 64
"""Bytes at a file's beginning that tell its format."""

_PNG_START, _PNG_AROUND = 8, 12  # the first chunk's place; bytes of length, name and checksum
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs")
_AVIF_BRANDS = (b"avif", b"avis")


@dataclass(frozen=True)
class Format:
    """One format of image files.

    Attributes:
        name: For people.
        module: Module whose ``reader`` is Pillow's class for it. Classes are opened directly: ``Image.open`` has a size
            limit of its own that is process-wide and warns.
        reader: Name of the class.
        by_pillow: Whether Pillow decodes the pixels; else OpenCV does.
    """

    name: str
    module: str
    reader: str
    by_pillow: bool = False

    def open(self, name: str, file: BinaryIO) -> ImageFile:
        """Read the header.

        Args:
            name: What to call the file in messages.
            file: Stands at its first byte.

        Raises:
            InputError: What reads the format is not installed.
            Exception: Pillow raises many types on damaged headers.
        """
        try:
            reader: type[ImageFile] = getattr(importlib.import_module(self.module), self.reader)
        except ImportError:
            missing = MissingExtraError(f"{name}: reading {self.name} images", "images", self.module.split(".")[0])
            raise InputError(str(missing)) from None
        return reader(file)


_TIFF = Format("TIFF", "PIL.TiffImagePlugin", "TiffImageFile")
_JPEG_2000 = Format("JPEG 2000", "PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile", by_pillow=True)
_GIF = Format("GIF", "PIL.GifImagePlugin", "GifImageFile", by_pillow=True)
_WEBP = Format("WebP", "PIL.WebPImagePlugin", "WebPImageFile")
_AVIF = Format("AVIF", "PIL.AvifImagePlugin", "AvifImageFile", by_pillow=True)
_HEIC = Format("HEIC", "pillow_heif", "HeifImageFile", by_pillow=True)
_BY_BEGINNING = (
    (b"\x89PNG\r\n\x1a\n", Format("PNG", "PIL.PngImagePlugin", "PngImageFile")),
    (b"\xff\xd8\xff", Format("JPEG", "PIL.JpegImagePlugin", "JpegImageFile")),
    (b"BM", Format("BMP", "PIL.BmpImagePlugin", "BmpImageFile")),
    (b"II*\x00", _TIFF),
    (b"MM\x00*", _TIFF),
    (b"II+\x00", _TIFF),
    (b"MM\x00+", _TIFF),
    (b"GIF87a", _GIF),
    (b"GIF89a", _GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", _JPEG_2000),
    (b"\xff\x4f\xff\x51", _JPEG_2000),
)


def find_format(head: bytes) -> Format | None:
    """Return the format of a file, None where it is none that is read.

    Args:
        head: Its first `HEAD` bytes.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _WEBP
    if head[4:8] == b"ftyp":
        # The first brand may be one of several formats, as `mif1`; the compatible ones follow it.
        brands = [head[place : place + 4] for place in range(8, min(len(head), int.from_bytes(head[:4], "big")), 4)]
        if any(brand in _AVIF_BRANDS for brand in brands):
            return _AVIF
        return _HEIC if any(brand in _HEIC_BRANDS for brand in brands) else None
    return next((form for beginning, form in _BY_BEGINNING if head.startswith(beginning)), None)


def has_whole_chunks(data: bytes) -> bool:
    """Return whether each chunk of a PNG file lies within it; OpenCV makes room for what a chunk says of its length.

    Args:
        data: The file.
    """
    place = _PNG_START
    while place + 8 <= len(data):
        ends = data[place + 4 : place + 8] == b"IEND"
        place += int.from_bytes(data[place : place + 4], "big") + _PNG_AROUND
        if ends:
            return place <= len(data)
    return False


def decode_by_pillow(picture: ImageFile) -> NDArray[np.uint8]:
    """Decode the first picture of a file that Pillow has opened, upright, without its alpha.

    Returns:
        uint8 (H, W, 3), BGR.

    Raises:
        Exception: Pillow raises many types on damaged files.
    """
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        grey = (np.asarray(upright) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[:, :, ::-1])
