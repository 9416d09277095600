"""Formats beyond the usual ones, and files that are sound but no photographs: each is read, or told by its kind."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, features

from segship.core.errors import InputError, SegshipError, SegshipWarning
from segship.vision import decode
from segship.vision.decode import read_image, read_labels
from segship.vision.image_files import find_images
from segship.vision.tiff_tags import FirstPage


def picture() -> np.ndarray:
    y, x = np.mgrid[0:40, 0:60]
    return np.stack((4 * x, 6 * y, 2 * (x + y)), axis=2).astype(np.uint8)


def near(found: np.ndarray, expected: np.ndarray) -> bool:
    return found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("suffix", ["jp2", "j2k"])
def test_jpeg_2000_is_read(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(picture()).save(tmp_path / f"a.{suffix}")
    assert near(read_image(tmp_path / f"a.{suffix}"), picture()[:, :, ::-1])


def test_of_a_gif_the_first_picture_is_read_and_that_is_said(tmp_path: Path) -> None:
    first, second = Image.fromarray(picture()).quantize(64), Image.new("RGB", (60, 40), "red")
    first.save(tmp_path / "still.gif")
    assert near(read_image(tmp_path / "still.gif"), np.asarray(first.convert("RGB"))[:, :, ::-1])
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    with pytest.warns(SegshipWarning, match=r"moving\.gif holds several pictures: the first is taken"):
        assert near(read_image(tmp_path / "moving.gif"), np.asarray(first.convert("RGB"))[:, :, ::-1])


@pytest.mark.skipif(not features.check("avif"), reason="Pillow reads AVIF from 11.3 on")
def test_avif_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(tmp_path / "a.avif", exif=exif, quality=100)
    assert near(read_image(tmp_path / "a.avif"), np.rot90(picture(), 3)[:, :, ::-1])


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_upright(tmp_path: Path, orientation: int) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112] = orientation
    pillow_heif.from_pillow(Image.fromarray(picture())).save(tmp_path / "a.heic", exif=exif.tobytes(), quality=100)
    expected = np.rot90(picture(), 3) if orientation == 6 else picture()
    assert near(read_image(tmp_path / "a.heic"), expected[:, :, ::-1])
    with pytest.raises(InputError, match="pixels are 2,400, the limit is 100"):
        read_image(tmp_path / "a.heic", max_pixels=100)


def test_without_the_extra_its_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heicmiaf" + bytes(64)
    (tmp_path / "photo.jpg").write_bytes(head)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r'photo\.jpg: reading HEIC images .* pip install "segship\[images\]"'):
        read_image(tmp_path / "photo.jpg")


def test_a_folder_of_such_images_is_found(tmp_path: Path) -> None:
    for name in ("a.HEIC", "b.heif", "c.avif", "d.gif", "e.jp2"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images([tmp_path])] == ["a.HEIC", "b.heif", "c.avif", "d.gif", "e.jp2"]


@pytest.mark.parametrize("form", ["gif", "jp2", "avif"])
def test_a_file_that_was_cut_off_is_damaged_and_a_large_one_too_large(tmp_path: Path, form: str) -> None:
    if form == "avif" and not features.check("avif"):
        pytest.skip("Pillow reads AVIF from 11.3 on")
    path = tmp_path / f"a.{form}"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    with pytest.raises(InputError, match="60x40 pixels are 2,400, the limit is 100; shrink it, or raise the limit"):
        read_image(path, max_pixels=100)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_image(path)


def tiff(samples: int, dtype: str, photometric: str = "minisblack") -> bytes:
    tifffile = pytest.importorskip("tifffile")
    array = np.random.default_rng(0).integers(0, 200, (20, 30, samples)).astype(dtype)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array if samples > 1 else array[:, :, 0], photometric=photometric, planarconfig="contig")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("samples", "dtype", "photometric"),
    [(3, "float32", "rgb"), (3, "int32", "rgb"), (4, "uint16", "minisblack"), (5, "uint8", "minisblack"),
     (1, "float32", "minisblack"), (1, "int16", "minisblack"), (8, "float64", "minisblack")],
)  # fmt: skip
def test_a_sound_tiff_that_is_no_photograph_is_told_by_its_bands(samples: int, dtype: str, photometric: str) -> None:
    told = " that are no colours" if samples > 1 and photometric == "minisblack" else ""
    with pytest.raises(
        InputError, match=rf"a TIFF of {samples} bands? of {dtype}{told}: this network takes photographs"
    ):
        read_image(tiff(samples, dtype, photometric))


@pytest.mark.parametrize(("samples", "dtype"), [(3, "uint8"), (3, "uint16"), (1, "uint16")])
def test_colours_that_are_said_to_be_grey_are_read(samples: int, dtype: str) -> None:
    data = tiff(samples, dtype)
    np.testing.assert_array_equal(read_image(data), cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def test_a_tag_of_several_values_is_read_where_it_points_to() -> None:
    page = FirstPage.of(tiff(3, "uint16", "rgb"))
    assert page == FirstPage((30, 20), 3, "uint16", grey=False)


def test_lack_of_memory_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.jpg")

    def fail(*_: object) -> Any:
        raise cv2.error(
            "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 243000000 bytes"
        )

    monkeypatch.setattr(decode, "decode_by_opencv", fail)
    with pytest.raises(SegshipError, match="not enough memory for 60x40 pixels") as caught:
        read_image(tmp_path / "a.jpg")
    assert not isinstance(caught.value, InputError)  # which an evaluation would count as a damaged file
    monkeypatch.setattr(decode, "decode_by_opencv", lambda *_: None)
    with pytest.raises(InputError, match="cut off or damaged"):
        read_image(tmp_path / "a.jpg")
    monkeypatch.setattr(decode, "_has_memory", lambda _: False)
    with pytest.raises(SegshipError, match="not enough memory"):
        read_image(tmp_path / "a.jpg")


def test_labels_may_be_stored_as_float_if_they_are_whole(tmp_path: Path) -> None:
    labels = np.arange(600, dtype=np.float32).reshape(20, 30) % 7
    cv2.imwrite(str(tmp_path / "a.tif"), labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)
    cv2.imwrite(str(tmp_path / "b.tif"), labels + 0.5)
    with pytest.raises(InputError, match=r"b\.tif holds float numbers that are not whole"):
        read_labels(tmp_path / "b.tif")
