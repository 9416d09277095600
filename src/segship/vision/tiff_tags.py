"""The tags of a TIFF file, read without decoding a pixel."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

__all__ = ["BITS", "HEIGHT", "SAMPLES", "WIDTH", "FirstPage", "is_georeferenced", "pages"]

WIDTH, HEIGHT, BITS, SAMPLES = 256, 257, 258, 277
"""Numbers of the tags for an image's size, the bits of a sample, and the samples a pixel."""

_MEANING, _KIND = 262, 339
_GEO_KEYS = 34735
_TRANSFORM = (33550, 34264)  # size of a pixel on the ground, or a matrix: all that files without a system have
_GREY = (0, 1)
_MOST_GREY, _MOST_COLOURS = 3, 4  # samples of a photograph; colours are often said to be grey
_PHOTOGRAPHS = ("uint1", "uint2", "uint4", "uint8", "uint16")
_KINDS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}
_SIZES = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}  # TIFF's types of whole numbers
_MOST_TAGS = 4096


@dataclass(frozen=True)
class FirstPage:
    """What a TIFF file says of its first page.

    Attributes:
        size: Width and height.
        samples: Numbers a pixel.
        kind: Their type, as ``uint16``.
        grey: Whether they are said to be one grey channel and others beside it, not colours.
    """

    size: tuple[int, int]
    samples: int
    kind: str
    grey: bool

    @classmethod
    def of(cls, data: bytes | mmap) -> FirstPage | None:
        """Read the tags of the first page; None where it has no size.

        Args:
            data: A TIFF file.
        """
        tags = next(pages(data), {})
        if not tags.get(WIDTH) or not tags.get(HEIGHT):
            return None
        kind = f"{_KINDS.get(tags.get(_KIND, 1), 'unknown ')}{tags.get(BITS, 1)}"
        return cls((tags[WIDTH], tags[HEIGHT]), tags.get(SAMPLES, 1), kind, tags.get(_MEANING, 0) in _GREY)

    @property
    def is_photograph(self) -> bool:
        """True for grey, colours or CMYK, with or without alpha, of whole numbers from 0 on."""
        most = _MOST_GREY if self.grey else _MOST_COLOURS
        return self.kind in _PHOTOGRAPHS and self.samples <= most


def is_georeferenced(data: bytes | mmap) -> bool:
    """Return whether a TIFF file says where its first page lies on the ground.

    Args:
        data: A file of any kind.
    """
    return data[:2] in {b"II", b"MM"} and not next(pages(data), {}).keys().isdisjoint((_GEO_KEYS, *_TRANSFORM))


def pages(data: bytes | mmap) -> Iterator[dict[int, int]]:
    """The whole-numbered tags of each page; the last is the last before the file ends or turns back on itself.

    Tags of a transform are told as 1. Of a tag that is there twice the greater value: decoders do not agree which of
    the two they take.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    word, counter, count_size, entry = ("Q", "Q", 8, 20) if big else ("I", "H", 2, 12)
    seen: set[int] = set()
    try:
        (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
        while 0 < start < len(data) and start not in seen:
            seen.add(start)
            (count,) = struct.unpack_from(order + counter, data, start)
            end = start + count_size + min(count, _MOST_TAGS) * entry
            found: dict[int, int] = {}
            for tag, value in _tags(data, order, range(start + count_size, end, entry), big=big):
                found[tag] = max(value, found.get(tag, value))
            yield found
            (start,) = struct.unpack_from(order + word, data, end)
    except (struct.error, OverflowError):
        return


def _tags(data: bytes | mmap, order: str, places: range, *, big: bool) -> Iterator[tuple[int, int]]:
    """Number and value of each whole-numbered tag at ``places``, and 1 for those of a transform.

    Raises:
        struct.error: The file ends before.
    """
    for place in places:
        tag, kind = struct.unpack_from(order + "HH", data, place)
        if kind in _SIZES:
            yield tag, struct.unpack_from(order + _SIZES[kind], data, _value_at(data, order, place, big=big))[0]
        elif tag in _TRANSFORM:
            yield tag, 1


def _value_at(data: bytes | mmap, order: str, place: int, *, big: bool) -> int:
    """Where the first value of the tag at ``place`` lies: in the tag, or where the tag says if it holds several."""
    kind, count = struct.unpack_from(order + ("HQ" if big else "HI"), data, place + 2)
    here, room = (place + 12, 8) if big else (place + 8, 4)
    size = struct.calcsize(order + _SIZES[kind])
    (there,) = struct.unpack_from(order + ("Q" if big else "I"), data, here)
    return int(there) if count * size > room and there + size <= len(data) else here
