from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from segship.core.errors import InputError
from segship.vision.decode import read_image
from segship.vision.headers import usual_size

if TYPE_CHECKING:
    from collections.abc import Callable


def encoded(form: str, mode: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(7 * 13 * 3, dtype=np.uint8).reshape(7, 13, 3)).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P"])
def test_the_size_of_a_png_is_in_its_header(mode: str) -> None:
    assert usual_size(encoded("PNG", mode)) == (13, 7)
    assert usual_size(encoded("PNG", mode, dpi=(300, 300))) == (13, 7)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [True, False])
def test_the_size_of_a_jpeg_is_in_its_header(mode: str, progressive: bool) -> None:
    assert usual_size(encoded("JPEG", mode, progressive=progressive)) == (13, 7)
    assert usual_size(encoded("JPEG", mode, exif=b"Exif\x00\x00" + b"\xff\xc0" * 9)) == (13, 7)


def frame_first(data: bytes) -> bytes:
    """With a second frame, of 1x1 pixels, before that of the file."""
    place = data.index(b"\xff\xc0")
    frame = data[place : place + 19]
    return data[:place] + frame[:5] + b"\x00\x01\x00\x01" + frame[9:] + data[place:]


RARE: list[Callable[[bytes], bytes]] = [
    lambda data: data[:20],
    lambda data: data.replace(b"IHDR", b"iHDR").replace(b"\xff\xc0", b"\xff\xc9"),  # another kind of frame
    lambda data: data.replace(b"IDAT", b"iDOT").replace(b"\xff\xdb", b"\xff\x01"),
    lambda data: data.replace(b"\x00\x00\x00\x0d", b"\x00\x00\x00\x00").replace(
        b"\x00\x07\x00\x0d", b"\x00\x07\x00\x00"
    ),
]


@pytest.mark.parametrize("change", RARE)
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_what_is_rare_is_left_to_pillow(change: Callable[[bytes], bytes], form: str) -> None:
    assert usual_size(change(encoded(form, "RGB"))) is None


def test_a_second_frame_cannot_hide_a_large_one() -> None:
    assert usual_size(frame_first(encoded("JPEG", "RGB"))) is None


def test_other_formats_are_left_to_pillow() -> None:
    assert usual_size(encoded("BMP", "RGB")) is None


def test_a_size_beyond_the_limit_is_refused_before_decoding() -> None:
    with pytest.raises(InputError, match="13x7 pixels are 91, the limit is 90"):
        read_image(encoded("PNG", "RGB"), max_pixels=90)
