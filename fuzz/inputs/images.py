"""Images, label maps, TIFF and arrays: headers that lie, and bombs of pixels, pages and passes."""

from __future__ import annotations

import io
import itertools
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from inputs.common import Case, damaged, of_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDES = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 100_000)
_PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def encoded(kind: str, picture: np.ndarray = _PICTURE, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, *, bits: int = 8, colour: int = 0, data: bytes = b"", more: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


Tag = tuple[int, int, int, int]  # number, type, count, value


def tiff(pages: list[list[Tag]], strip: bytes, *, big: bool = False, loop: bool = False) -> bytes:
    """A TIFF whose pages share one strip."""
    made = bytearray(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4))
    place, word, entry = (8, "<Q", "<HHQQ") if big else (4, "<I", "<HHII")
    made += strip + bytes(len(strip) % 2)
    first = len(made)
    for tags in pages:
        made[place : place + struct.calcsize(word)] = struct.pack(word, len(made))
        made += struct.pack("<Q" if big else "<H", len(tags)) + b"".join(struct.pack(entry, *tag) for tag in tags)
        place = len(made)
        made += bytes(struct.calcsize(word))
    if loop:
        made[place : place + struct.calcsize(word)] = struct.pack(word, first)
    return bytes(made)


def tags(width: int, height: int, length: int, *, samples: int = 1, compression: int = 8, bits: int = 8) -> list[Tag]:
    return [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1), (273, 4, 1, 8),
            (277, 3, 1, samples), (278, 4, 1, height), (279, 4, 1, length)]  # fmt: skip


def npy(header: bytes, data: bytes = bytes(96), version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(header))
    return b"\x93NUMPY" + version + length + header + data


def _pngs() -> Iterator[tuple[str, bytes]]:
    for width, height in itertools.product(SIDES, SIDES):
        yield f"{width}x{height}", png(width, height, data=zlib.compress(bytes(1000)))
    for bits, colour in itertools.product((0, 1, 2, 4, 8, 16, 255), (0, 2, 3, 4, 6, 9)):
        yield f"{bits} bits of kind {colour}", png(8, 8, bits=bits, colour=colour, data=zlib.compress(bytes(600)))
    bomb = zlib.compress(bytes(99_000_000), 9)
    yield "9900x9900", png(9900, 9900, data=zlib.compress(bytes(9901 * 9900), 9))
    for kind in (b"zTXt", b"iCCP", b"iTXt", b"tEXt", b"eXIf", b"PLTE", b"acTL", b"fdAT", b"sPLT"):
        yield f"{kind!r} bomb", png(8, 8, data=zlib.compress(bytes(72)), more=png_chunk(kind, b"x\0\0" + bomb))
        yield f"many {kind!r}", png(8, 8, data=zlib.compress(bytes(72)), more=png_chunk(kind, b"x\0\0ab") * 20_000)


def _tiffs() -> Iterator[tuple[str, bytes]]:
    strip = zlib.compress(bytes(100_000_000), 9)
    page = tags(10_000, 10_000, len(strip))
    yield "200 pages of 100 megapixels", tiff([page] * 200, strip)
    yield "60000 pages", tiff([tags(1, 1, 9)] * 60_000, zlib.compress(b"\0"))
    yield "a large second page", tiff([tags(8, 8, 9), tags(30_000, 30_000, len(strip))], strip)
    yield "pages in a ring", tiff([tags(8, 8, 12)], zlib.compress(bytes(64)), loop=True)
    small = zlib.compress(bytes(64))
    for big in (False, True):
        for number, value in itertools.product(
            (256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 322, 338, 339), (0, 1, 2**16, 2**31, 2**32 - 1)
        ):
            changed = [tag for tag in tags(8, 8, len(small)) if tag[0] != number] + [(number, 4, 1, value)]
            yield f"tag {number} is {value}, {'big' if big else 'small'}", tiff([sorted(changed)], small, big=big)
        for number, kind in itertools.product((256, 257, 258, 277), (0, 1, 2, 5, 11, 12, 13, 99)):
            changed = [tag if tag[0] != number else (number, kind, 1, 8) for tag in tags(8, 8, len(small))]
            yield f"tag {number} of type {kind}, {'big' if big else 'small'}", tiff([changed], small, big=big)
        for count in (0, 2, 2**16, 2**32 - 1):
            changed = [tag if tag[0] != 258 else (258, 3, count, 8) for tag in tags(8, 8, len(small))]
            yield f"{count} bits, {'big' if big else 'small'}", tiff([changed], small, big=big)
    yield "an offset beyond 63 bits", b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**64 - 1) + bytes(64)
    yield "an offset beyond the file", b"II*\0" + struct.pack("<I", 2**32 - 1) + bytes(64)
    yield "no page", b"II*\0" + bytes(64)
    yield (
        "OME",
        tiff([[*tags(8, 8, len(small))]], small) + b"<?xml?><OME><Image><Pixels SizeX='99999999'/></Image></OME>",
    )


def _arrays() -> Iterator[tuple[str, bytes]]:
    shapes = (
        "(24, 32, 3)",
        "(10**9,)",
        "(1000000000, 1000000000)",
        "(0, 100000000)",
        "(-1, 3)",
        "(True, True)",
        "()",
        "(1,)*9",
        "5",
        "None",
        "(9" * 3000,
        "(" * 3000,
    )
    for kind, shape in itertools.product(
        ("'<f4'", "'|u1'", "'|O'", "'<U99999999'", "'|V9'", "[('a', '<f4')]", "'x'", "5", "'<c16'"), shapes
    ):
        yield f"{kind} {shape[:20]}", npy(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode())
    for title, header in {"brackets": b"(" * 9000, "minus": b"-" * 60_000 + b"1", "sums": b"1+" * 30_000 + b"1", "a call": b"__import__('os').mkdir('EXECUTED')",
                          "nothing": b"", "a list": b"[1]", "NUL": b"\0" * 99, "an f-string": b"f'{1}'", "deep": b"[" * 99 + b"]" * 99}.items():  # fmt: skip
        for version in (b"\1\0", b"\2\0", b"\3\0", b"\x09\0"):
            yield f"{title}, version {version[0]}", npy(header, version=version)
    yield "a header of 4 GiB", b"\x93NUMPY\2\0\xff\xff\xff\xff{"


def _jpegs() -> Iterator[tuple[str, bytes]]:
    good = encoded("JPEG")
    frame = good.index(b"\xff\xc0")
    for width, height in itertools.product((0, 1, 9900, 65_535), repeat=2):
        yield f"{width}x{height}", good[: frame + 5] + struct.pack(">HH", height, width) + good[frame + 9 :]
    progressive = encoded("JPEG", np.zeros((64, 64, 3), np.uint8), progressive=True)
    frame, scan = progressive.index(b"\xff\xc2"), progressive.index(b"\xff\xda")
    scans = progressive[scan:-2]
    for width, count in ((9900, 40), (9900, 400), (64, 20_000)):
        head = progressive[: frame + 5] + struct.pack(">HH", width, width) + progressive[frame + 9 : scan]
        yield f"{count} times the passes of {width}x{width}", head + scans * count + b"\xff\xd9"
    yield "many comments", good[:2] + (b"\xff\xfe\x00\x04ab" * 300_000) + good[2:]


def _others() -> Iterator[tuple[str, str, bytes]]:
    for kind in ("BMP", "WEBP", "GIF", "PPM", "ICO", "TGA", "PCX", "DDS", "JPEG2000", "EPS", "PDF"):
        try:
            data = encoded(kind)
        except (KeyError, OSError, ValueError):
            continue
        yield f"a {kind}", "x.png", data
        for title, changed in damaged(data, 12):
            yield f"{kind}: {title}", "x.png", changed
    for at in range(2, 54, 4):
        data = bytearray(encoded("BMP"))
        data[at : at + 4] = b"\xff\xff\xff\x7f"
        yield f"BMP at {at}", "x.bmp", bytes(data)


def cases() -> Iterator[Case]:
    """All of them."""
    for name, made in (("x.png", _pngs()), ("x.tif", _tiffs()), ("x.npy", _arrays()), ("x.jpg", _jpegs())):
        for title, data in made:
            yield of_bytes(f"{name}: {title}", name, data)
    for title, name, data in _others():
        yield of_bytes(title, name, data)
    for kind, name in (("PNG", "x.png"), ("JPEG", "x.jpg"), ("TIFF", "x.tif"), ("WEBP", "x.webp")):
        for title, data in damaged(encoded(kind), 50):
            yield of_bytes(f"{kind}: {title}", name, data)
    for title, make in (
        ("a fifo", os.mkfifo),
        ("a device", lambda path: path.symlink_to("/dev/zero")),
        ("a folder", os.mkdir),
    ):

        def write(folder: Path, make: object = make) -> Path:
            make(folder / "x.png")  # type: ignore[operator]
            return folder / "x.png"

        yield Case(title, write)


def read(path: Path) -> None:
    """Read a picture, labels and bands, each as if it were meant."""
    from segship.core.errors import SegshipError
    from segship.vision.bands import read_stored
    from segship.vision.decode import read_image, read_labels

    refused = None
    for reader in (read_image, read_labels, lambda file: read_stored(file, 3)):
        try:
            reader(path)
        except SegshipError as error:
            refused = error
    if refused:
        raise refused
