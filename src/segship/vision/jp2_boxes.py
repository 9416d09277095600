"""The boxes of a JPEG 2000 file, read without decoding a pixel."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from segship.vision.tiff_tags import is_georeferenced as is_placed_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

__all__ = ["is_georeferenced"]

_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_GEOJP2 = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")  # a box of this kind holds a GeoTIFF without pixels
_GMLJP2 = b"gml.data"  # the label of the box that OGC's GML in JPEG 2000 begins with
_PIXELS = b"jp2c"
_MOST_BOXES, _MOST_BYTES = 64, 2**20  # of a file, and of a box that is looked into


def is_georeferenced(data: bytes | mmap) -> bool:
    """Return whether a JPEG 2000 file says where it lies on the ground: as GeoJP2 or as GMLJP2.

    Args:
        data: A file of any kind.
    """
    if data[: len(_SIGNATURE)] != _SIGNATURE:
        return False
    for kind, content in _boxes(data):
        if kind == b"uuid" and content.startswith(_GEOJP2) and is_placed_tiff(content[len(_GEOJP2) :]):
            return True
        if kind == b"asoc" and _GMLJP2 in content:
            return True
    return False


def _boxes(data: bytes | mmap) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box before the pixels, as far as these are looked into."""
    place = 0
    for _ in range(_MOST_BOXES):
        head = data[place : place + 16]
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head[:8])
        begin = 8
        if length == 1 and len(head) == 16:  # it follows, in eight bytes
            begin, (length,) = 16, struct.unpack(">Q", head[8:])
        if length < begin or kind == _PIXELS:
            return
        yield kind, data[place + begin : place + min(length, _MOST_BYTES)]
        place += length
