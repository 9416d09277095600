from __future__ import annotations

import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image

from segship.core.errors import InputError
from segship.vision.decode import read_image, read_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def picture() -> NDArray[np.uint8]:
    """A smooth 20x30 RGB picture, so that lossy formats stay near it."""
    y, x = np.mgrid[0:20, 0:30]
    return np.stack((8 * x, 12 * y, 4 * (x + y)), axis=2).astype(np.uint8)


def png(header: bytes, lines: bytes) -> bytes:
    """A PNG of these chunks."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


MODES = {
    "png": ("RGB", "L", "P", "LA", "RGBA", "1"),
    "bmp": ("RGB", "L", "P", "RGBA", "1"),
    "tif": ("RGB", "L", "P", "LA", "RGBA", "1", "CMYK"),
    "webp": ("RGB", "L", "P", "LA", "RGBA", "1", "CMYK"),
    "jpg": ("RGB", "L", "1", "CMYK"),
}


@pytest.mark.parametrize(("suffix", "mode"), [(suffix, mode) for suffix in MODES for mode in MODES[suffix]])
def test_an_image_is_what_opencv_reads(tmp_path: Path, suffix: str, mode: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(picture()).convert(mode).save(path)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)
    found = read_image(path)
    assert found.dtype == np.uint8
    assert found.shape == (20, 30, 3)
    np.testing.assert_array_equal(found, expected)


def test_channels_come_as_blue_green_red(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "picture.png")
    np.testing.assert_array_equal(read_image(tmp_path / "picture.png"), picture()[:, :, ::-1])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_become_eight(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"deep.{suffix}"
    assert cv2.imwrite(str(path), picture().astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(path), cv2.imread(str(path), cv2.IMREAD_COLOR))
    np.testing.assert_array_equal(read_image(path), picture())


@pytest.mark.parametrize(("orientation", "turn"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_an_exif_rotation_is_applied(tmp_path: Path, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture()).save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    found = read_image(tmp_path / "turned.jpg")
    expected = np.rot90(picture()[:, :, ::-1], turn)
    assert np.abs(found.astype(int) - expected).max() < 6
    np.testing.assert_array_equal(found, cv2.imread(str(tmp_path / "turned.jpg"), cv2.IMREAD_COLOR))


def test_of_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "pages.tif"), picture()[:, :, ::-1])


def test_the_suffix_does_not_decide_the_format(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "picture.dat", format="PNG")
    np.testing.assert_array_equal(read_image(str(tmp_path / "picture.dat")), picture()[:, :, ::-1])


@pytest.mark.parametrize("reader", [read_image, read_labels])
class TestRefusals:
    def test_text(self, tmp_path: Path, reader: object) -> None:
        (tmp_path / "text.png").write_text("this is no picture")
        with pytest.raises(InputError, match=r"text\.png is not an image of a known format: expected PNG"):
            reader(tmp_path / "text.png")  # type: ignore[operator]

    def test_an_empty_file(self, tmp_path: Path, reader: object) -> None:
        (tmp_path / "empty.png").touch()
        with pytest.raises(InputError, match=r"empty\.png is empty"):
            reader(tmp_path / "empty.png")  # type: ignore[operator]

    def test_another_format(self, tmp_path: Path, reader: object) -> None:
        Image.fromarray(picture()).save(tmp_path / "picture.ppm")
        with pytest.raises(InputError, match="known format: expected PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, AVIF"):
            reader(tmp_path / "picture.ppm")  # type: ignore[operator]

    def test_a_sound_file_that_begins_like_webp(self, tmp_path: Path, reader: object) -> None:
        (tmp_path / "sound.webp").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
        with pytest.raises(InputError, match="known format"):
            reader(tmp_path / "sound.webp")  # type: ignore[operator]

    def test_a_missing_file(self, tmp_path: Path, reader: object) -> None:
        with pytest.raises(InputError, match=r"cannot read .*none\.png: No such file"):
            reader(tmp_path / "none.png")  # type: ignore[operator]

    def test_a_directory(self, tmp_path: Path, reader: object) -> None:
        with pytest.raises(InputError, match=r"cannot read .*: Is a directory"):
            reader(tmp_path)  # type: ignore[operator]

    @pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
    @pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
    def test_a_file_that_was_cut_off(
        self, tmp_path: Path, reader: object, suffix: str, part: float, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / f"cut.{suffix}"
        noise = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
        message = "cut off or damaged|changes values" if reader is read_labels else "cut off or damaged"
        with pytest.raises(InputError, match=message):
            reader(path)  # type: ignore[operator]
        assert capfd.readouterr().err == ""

    def test_a_header_without_pixels(self, tmp_path: Path, reader: object) -> None:
        (tmp_path / "bare.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
        with pytest.raises(InputError, match="cut off or damaged"):
            reader(tmp_path / "bare.png")  # type: ignore[operator]

    def test_too_many_pixels_are_not_decoded(self, tmp_path: Path, reader: object) -> None:
        header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
        (tmp_path / "huge.png").write_bytes(png(header, bytes(1_000_000)))
        with pytest.raises(InputError, match="20000x20000 pixels are 400 million, the limit is 100 million"):
            reader(tmp_path / "huge.png")  # type: ignore[operator]

    def test_the_limit_is_an_option(self, tmp_path: Path, reader: object) -> None:
        Image.fromarray(picture()[:, :, 0]).save(tmp_path / "picture.png")
        with pytest.raises(InputError, match="too large"):
            reader(tmp_path / "picture.png", max_pixels=599)  # type: ignore[operator]
        assert reader(tmp_path / "picture.png", max_pixels=600).shape[:2] == (20, 30)  # type: ignore[operator]


def test_a_picture_above_pillows_own_limit_is_read_when_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.fromarray(picture()).save(tmp_path / "picture.png")
    assert read_image(tmp_path / "picture.png").shape == (20, 30, 3)


def test_threads_leave_opencvs_log_level_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(png(struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0), b"short"))
    level = cv2.utils.logging.getLogLevel()

    def read(_number: int) -> None:
        with pytest.raises(InputError):
            read_image(tmp_path / "bad.png")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(200)))
    assert cv2.utils.logging.getLogLevel() == level


class TestLabels:
    @pytest.mark.parametrize("bits", [1, 2, 4, 8])
    def test_palette_indices_are_not_turned_into_colours(self, tmp_path: Path, bits: int) -> None:
        indices = (np.arange(600) % 2**bits).reshape(20, 30).astype(np.uint8)
        image = Image.fromarray(indices, mode="P")
        image.putpalette(list(range(255, 255 - 3 * 2 ** min(bits, 6), -1)))
        image.save(tmp_path / "labels.png", bits=bits)
        found = read_labels(tmp_path / "labels.png")
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, indices)

    @pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
    def test_grey_values_are_labels(self, tmp_path: Path, suffix: str) -> None:
        Image.fromarray(picture()[:, :, 0]).save(tmp_path / f"labels.{suffix}")
        np.testing.assert_array_equal(read_labels(tmp_path / f"labels.{suffix}"), picture()[:, :, 0])

    @pytest.mark.parametrize(
        ("depth", "packed", "expected"),
        [(1, 0xA5, [1, 0, 1, 0, 0, 1, 0, 1]), (2, 0xE4, [3, 2, 1, 0]), (4, 0xF1, [15, 1])],
    )
    def test_few_grey_bits_are_not_stretched(
        self, tmp_path: Path, depth: int, packed: int, expected: list[int]
    ) -> None:
        header = struct.pack(">IIBBBBB", len(expected), 1, depth, 0, 0, 0, 0)
        (tmp_path / "grey.png").write_bytes(png(header, bytes((0, packed))))
        assert read_labels(tmp_path / "grey.png").tolist() == [expected]

    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_sixteen_bits_stay(self, tmp_path: Path, suffix: str) -> None:
        labels = (np.arange(600).reshape(20, 30) * 100).astype(np.uint16)
        assert cv2.imwrite(str(tmp_path / f"deep.{suffix}"), labels)
        found = read_labels(tmp_path / f"deep.{suffix}")
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, labels)

    def test_negative_values_are_refused(self, tmp_path: Path) -> None:
        Image.fromarray(np.full((2, 2), -1, np.int32), mode="I").save(tmp_path / "negative.tif")
        with pytest.raises(InputError, match="values from -1 to -1: labels are within 0-65535"):
            read_labels(tmp_path / "negative.tif")

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
    def test_colours_are_refused(self, tmp_path: Path, mode: str) -> None:
        Image.fromarray(picture()).convert(mode).save(tmp_path / "colours.png")
        with pytest.raises(InputError, match=rf"stores colours \({mode}\), not labels"):
            read_labels(tmp_path / "colours.png")

    def test_lossy_files_are_refused(self, tmp_path: Path) -> None:
        Image.fromarray(picture()[:, :, 0]).save(tmp_path / "labels.jpg")
        with pytest.raises(InputError, match="JPEG file, whose compression changes values"):
            read_labels(tmp_path / "labels.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no fifos")
@pytest.mark.parametrize("reader", [read_image, read_labels])
def test_a_fifo_or_a_device_is_not_waited_for(tmp_path: Path, reader: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path / "x.png", Path("/dev/zero")):
        with pytest.raises(InputError, match="never end"):
            reader(path)


def test_a_jpeg_of_thousands_of_passes_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 1000)).save(tmp_path / "x.jpg", progressive=True)
    data = (tmp_path / "x.jpg").read_bytes()
    assert read_image(data).shape == (1000, 1000, 3)
    with pytest.raises(InputError, match="passes"):
        read_image(data[:-2] + b"\xff\xda" * 3000 + data[-2:])


def test_a_label_map_whose_width_is_no_whole_number_is_refused(tmp_path: Path) -> None:
    tags = b"".join(struct.pack("<HHII", tag, kind, 1, 1) for tag, kind in ((256, 11), (257, 4), (258, 3), (277, 3)))
    (tmp_path / "x.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, 4) + tags + bytes(4))
    with pytest.raises(InputError, match="damaged"):
        read_labels(tmp_path / "x.tif")


@pytest.mark.parametrize("chunk", [b"IDAT", b"IEND"])
def test_a_chunk_that_is_longer_than_its_file_does_not_reach_the_decoder(
    chunk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = png(struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0), bytes(8 * 9))
    assert read_image(whole).shape == (8, 8, 3)
    place = whole.index(chunk) - 4
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it would make room for 2 GB"))
    with pytest.raises(InputError, match="cut off or damaged"):
        read_image(whole[:place] + b"\x80\x00\x00\x8c" + whole[place + 4 :])
