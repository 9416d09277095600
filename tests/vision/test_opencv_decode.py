"""Large pictures are decoded without a copy, to the same pixels, and refused where the small way refuses them."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segship.vision import opencv_decode
from segship.vision.opencv_decode import decode_by_opencv

LARGE = 1 << 20


def encoded(kind: str, **options: object) -> bytes:
    random = np.random.default_rng(0).integers(0, 256, (35, 45, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(random).resize((450, 350)).save(buffer, kind, **options)
    return buffer.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    return exif


IMAGES = {
    "JPEG": encoded("JPEG"),
    "progressive": encoded("JPEG", progressive=True),
    "turned": encoded("JPEG", exif=turned()),
    "PNG": encoded("PNG"),
    "WEBP": encoded("WEBP"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_both_ways_take_the_same_pixels_or_none(name: str) -> None:
    whole = IMAGES[name]
    half = len(whole) // 2
    noise = bytearray(whole)
    noise[half : half + 200] = np.random.default_rng(1).integers(0, 256, 200, np.uint8).tobytes()
    thumbnail = whole[:2] + b"\xff\xe2\x00\x08\xff\xda..\xff\xd9" + whole[2:half]  # an end, but not of the picture
    for data in (whole, whole[:half], whole[:40], bytes(noise), whole[:half] + b"\xff\xd9", b"junk", thumbnail):
        small, large = decode_by_opencv(data), decode_by_opencv(data, LARGE)
        assert (small is None) == (large is None)
        assert small is None or large is None or np.array_equal(small, large)
    assert decode_by_opencv(whole, LARGE) is not None


def test_where_no_file_can_be_opened_the_copy_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", none, raising=False)
    found = decode_by_opencv(IMAGES["PNG"], LARGE)
    assert found is not None
    assert found.shape == (350, 450, 3)


@pytest.mark.skipif(not opencv_decode._HAS_FILES, reason="OpenCV decodes into no array here, or there is no memfd")
def test_a_large_picture_is_held_once() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (4000, 4000), "red").save(buffer, "JPEG")
    data = buffer.getvalue()
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None  # what it keeps, it has
    Path("/proc/self/clear_refs").write_text("5")
    before = _highest()
    image = decode_by_opencv(data, 4000 * 4000)
    assert image is not None
    assert _highest() - before < 1.2 * image.nbytes


def _highest() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])
