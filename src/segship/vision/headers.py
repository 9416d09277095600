"""Sizes of usual PNG and JPEG files from their headers, without Pillow, whose import takes longer than most images.

What is not usual is left to Pillow: it knows more of the formats, and what is wrong with a file.
"""

from __future__ import annotations

import struct

__all__ = ["usual_size"]

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"
_PNG_CHUNKS = 33  # where those begin that follow the header
_PLAIN_CHUNKS = (b"PLTE", b"tRNS", b"pHYs", b"gAMA", b"sRGB", b"cHRM", b"bKGD", b"sBIT", b"tIME")

_JPEG = b"\xff\xd8"
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_TABLES = (0xC4, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE)  # Huffman, quantisation, restarts, applications' own, comments
_SCAN = 0xDA
_CHANNELS = (1, 3, 4)


def usual_size(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a PNG or JPEG file; None where it is none, or has anything that is rare.

    Args:
        data: The file.
    """
    try:
        if data.startswith(_PNG):
            return _size_of_png(data)
        return _size_of_jpeg(data) if data.startswith(_JPEG) else None
    except (struct.error, IndexError):  # it was cut off
        return None


def _size_of_png(data: bytes) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", data, len(_PNG))
    place = _PNG_CHUNKS
    while (name := data[place + 4 : place + 8]) in _PLAIN_CHUNKS:
        place += 12 + struct.unpack_from(">I", data, place)[0]
    return (width, height) if name == b"IDAT" and width and height else None


def _size_of_jpeg(data: bytes) -> tuple[int, int] | None:
    size, place = None, len(_JPEG)
    while data[place] == 0xFF and data[place + 1] != _SCAN:
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        if marker in _FRAMES and size is None:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, place + 4)
            if bits != 8 or channels not in _CHANNELS or length != 8 + 3 * channels or not (width and height):
                return None
            size = width, height
        elif marker not in _TABLES or length < 2:
            return None
        place += 2 + length
    return size if data[place] == 0xFF else None
