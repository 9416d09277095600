"""Image files that nobody should decode: what they unfold to is too much, or they are damaged."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image

SIDE = 4243  # pixels of a bomb's side

_HUGE_JPEG = b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9"


def png(width: int, height: int, data: bytes = b"", *, spoil: bool = False, text: bytes = b"", kind: int = 0) -> bytes:
    """A PNG of any header.

    Args:
        width: It says that it has.
        height: It says that it has.
        data: Rows, each behind the byte of its filter.
        spoil: Write wrong checksums.
        text: Of a compressed comment before the pixels.
        kind: 0 is grey, 2 is RGB.
    """

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body) ^ spoil)

    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    comment = chunk(b"zTXt", b"a\0\0" + zlib.compress(text, 9)) if text else b""
    parts = chunk(b"IHDR", head) + comment + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def bad_images(scene: bytes) -> dict[str, bytes]:
    """Small files that are no images, or that say that they are what they cannot be.

    Args:
        scene: A JPEG.
    """
    return {
        "empty": b"",
        "junk": bytes(range(256)) * 8,
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "a bomb": png(30_000, 30_000, bytes(30_001) * 3000),
        "a huge header": png(2**31 - 1, 2**31 - 1),
        "no width": png(0, 10),
        "a wrong sum": png(8, 8, bytes(72), spoil=True),
        "a cut JPEG": scene[: len(scene) // 2],
        "a cut PNG": png(64, 64, bytes(65 * 64))[:60],
        "a huge JPEG": scene[:2] + _HUGE_JPEG,
        "a GIF": b"GIF89a" + bytes(20),
        "a pickle": b"\x80\x04\x95" + bytes(30),
        "a TIFF": b"II*\x00" + bytes(30),
        "a page": b"<!doctype html><title>404</title>",
    }


def bombs() -> dict[str, bytes]:
    """Few bytes that unfold to 18 million pixels, or to a text of 100 MB, in each format that is read."""
    found = {}
    large = Image.new("L", (SIDE, SIDE))
    for name, options in (
        ("PNG", {}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {"lossless": True, "method": 0, "quality": 0}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("GIF", {}),
        ("JPEG2000", {}),
    ):
        buffer = io.BytesIO()
        large.save(buffer, name, **options)
        found[name] = buffer.getvalue()
    run = b"\xff\x00" * (SIDE // 255) + b"\x00\x00"
    size = SIDE.to_bytes(4, "little")
    head = (40).to_bytes(4, "little") + size + size + b"\1\0\x08\0\1\0\0\0" + bytes(12) + (256).to_bytes(4, "little")
    body = head + bytes(4) + bytes(1024) + run * SIDE + b"\0\1"
    found["BMP"] = b"BM" + (14 + len(body)).to_bytes(4, "little") + bytes(4) + (1078).to_bytes(4, "little") + body
    found["a text of 100 MB"] = png(8, 8, bytes(72), text=bytes(100_000_000))
    return found
