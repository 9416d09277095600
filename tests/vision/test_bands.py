"""Images of many bands, as their files store them."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from segship.core.errors import InputError
from segship.core.spec import ModelSpec, Normalization, Pad, Resize
from segship.vision.bands import as_stored, read_pixels, read_stored, synthesize_bands, to_preview_rgb
from segship.vision.preprocess import prepare

KINDS = [np.uint8, np.uint16, np.float32]


def stack(bands: int, kind: Any) -> Any:
    return (np.random.default_rng(bands).random((20, 30, bands)) * 250).astype(kind)


def spec(bands: int, **options: Any) -> ModelSpec:
    normalization = Normalization(mean=tuple(range(bands)), std=tuple(range(1, bands + 1)))
    return ModelSpec(
        source="",
        architecture="",
        classes=("a",),
        palette=((0, 0, 0),),
        normalization=normalization,
        pixels="multispectral",
        **options,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bands", [1, 2, 4, 6])
def test_arrays_pages_and_samples_are_read(tmp_path: Path, bands: int, kind: Any) -> None:
    image = stack(bands, kind)
    np.save(tmp_path / "last.npy", image)
    np.save(tmp_path / "first.npy", np.moveaxis(image, 2, 0))
    cv2.imwritemulti(str(tmp_path / "pages.tif"), [np.ascontiguousarray(image[:, :, band]) for band in range(bands)])
    for name in ("last.npy", "first.npy", "pages.tif"):
        found = read_stored(tmp_path / name, bands)
        assert found.dtype == kind
        np.testing.assert_array_equal(found, image)


def test_samples_of_a_pixel_keep_their_order(tmp_path: Path) -> None:
    image = stack(3, np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), image[:, :, ::-1])
    np.testing.assert_array_equal(read_stored(tmp_path / "a.tif", 3), image)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_six_samples_a_pixel_are_read(tmp_path: Path, planar: str) -> None:
    tifffile = pytest.importorskip("tifffile", reason="pip install segship[tiff]")
    image = stack(6, np.uint16)
    data = image if planar == "contig" else np.moveaxis(image, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig=planar)
    np.testing.assert_array_equal(read_stored(tmp_path / "a.tif", 6), image)


def test_double_and_signed_numbers_become_float(tmp_path: Path) -> None:
    for kind in (np.float64, np.int16):
        np.save(tmp_path / "a.npy", (stack(6, np.float64) - 100).astype(kind))
        assert read_stored(tmp_path / "a.npy", 6).dtype == np.float32


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", stack(5, np.uint8))
    with pytest.raises(InputError, match=r"shape \(20, 30, 5\), this network takes \(height, width, 6\)"):
        read_stored(tmp_path / "a.npy", 6)
    np.save(tmp_path / "nan.npy", np.full((4, 4, 2), np.nan, np.float32))
    with pytest.raises(InputError, match="NaN or infinity"):
        read_stored(tmp_path / "nan.npy", 2)
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"no \.npy file of numbers"):
        read_stored(tmp_path / "objects.npy", 1)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"neither TIFF nor \.npy"):
        read_stored(tmp_path / "a.png", 6)
    with pytest.raises(InputError, match="No such file"):
        read_stored(tmp_path / "nothing.tif", 6)
    with pytest.raises(InputError, match="not str"):
        as_stored("a", 6)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_one_band_is_read_from_grey_pictures(kind: type[np.uint8 | np.uint16], tmp_path: Path) -> None:
    pixels = (np.arange(600).reshape(20, 30) * 97).astype(kind)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for image in (tmp_path / "a.png", (tmp_path / "a.png").read_bytes()):
        found = read_stored(image, 1)
        assert (found.dtype, found.shape) == (np.dtype(kind), (20, 30, 1))
        assert (found[:, :, 0] == pixels).all()
    with pytest.raises(InputError, match="limit is 599"):
        read_stored(tmp_path / "a.png", 1, max_pixels=599)
    Image.new("RGB", (4, 4)).save(tmp_path / "colours.png")
    with pytest.raises(InputError, match="stores pixels of the kind RGB, and this network takes one band"):
        read_stored(tmp_path / "colours.png", 1)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    with pytest.raises(InputError, match="cut off or damaged"):
        read_stored(tmp_path / "cut.png", 1)


def test_a_tiff_that_claims_a_billion_pixels_is_refused_unread(tmp_path: Path) -> None:
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 40_000), (257, 40_000), (277, 6)))
    (tmp_path / "bomb.tif").write_bytes(b"II*\0" + struct.pack("<IH", 8, 3) + tags + bytes(4))
    with pytest.raises(InputError, match=r"40000x40000 pixels with 6 samples"):
        read_stored(tmp_path / "bomb.tif", 6)
    (tmp_path / "cut.tif").write_bytes(b"II*\0")
    with pytest.raises(InputError, match="no page"):
        read_stored(tmp_path / "cut.tif", 6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_band_has_its_own_mean_and_deviation(kind: Any) -> None:
    image = stack(6, kind)
    prepared = prepare(image, spec(6, geometry=(Pad(height=24, width=30, value=(7.0,), crop=True),)))
    expected = (image.astype(np.float64) - np.arange(6)) / np.arange(1, 7)
    np.testing.assert_allclose(prepared.tensor[0, :, :20].transpose(1, 2, 0), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(prepared.tensor[0, :, 20:, 0], [[(7 - b) / (b + 1)] * 4 for b in range(6)], rtol=1e-6)


def test_bands_are_resized_one_by_one() -> None:
    image = stack(6, np.float32)
    tensor = prepare(image, spec(6, geometry=(Resize(height=40, width=45),))).tensor
    for band in range(6):
        plane = cv2.resize(image[:, :, band], (45, 40), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(tensor[0, band], (plane - band) / (band + 1), rtol=1e-5, atol=1e-4)


def test_a_spec_of_six_channels_takes_stored_pixels() -> None:
    with pytest.raises(ValueError, match="as they are stored"):
        ModelSpec.model_validate(spec(6).model_dump() | {"pixels": "uint8"})


def test_photographs_stay_what_they_are(tmp_path: Path) -> None:
    image = stack(3, np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    photograph = spec(3).model_copy(update={"pixels": "uint8"})
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.png", photograph), image)
    assert synthesize_bands(image, photograph) is image


def test_imitations_and_pictures_have_the_right_form() -> None:
    made = synthesize_bands(stack(3, np.uint8), spec(6))
    assert (made.shape, made.dtype) == ((20, 30, 6), np.float32)
    assert to_preview_rgb(made).shape == (20, 30, 3)
    assert to_preview_rgb(made[:, :, :1]).dtype == np.uint8


def test_bytes_and_file_objects_are_read_as_files_are(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.uint16).reshape(2, 3, 5)
    np.save(tmp_path / "bands.npy", array)
    data = (tmp_path / "bands.npy").read_bytes()
    for form in (tmp_path / "bands.npy", data, io.BytesIO(data)):
        np.testing.assert_array_equal(read_stored(form, 5), array)
    with pytest.raises(InputError, match=r"the image has the shape \(2, 3, 5\): expected an image of at most 14"):
        read_stored(data, 5, max_pixels=14)


def test_the_numbers_of_a_huge_array_are_not_read() -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 20)})
    with pytest.raises(InputError, match="expected an image of at most"):
        read_stored(header.getvalue(), 1)


def tiff_of_pages(sizes: list[tuple[int, int]], *, last: int = 0) -> bytes:
    """A TIFF whose pages all show the same strip of zeros, as large as the largest of them."""
    strip = zlib.compress(bytes(max(width * height for width, height in sizes)), 9)
    content, link = bytearray(b"II*\0\0\0\0\0" + strip + b"\0" * (len(strip) % 2)), 4
    for width, height in sizes:
        tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
        tags += [(278, 4, height), (279, 4, len(strip))]
        content[link : link + 4] = struct.pack("<I", len(content))
        content += struct.pack("<H", len(tags)) + b"".join(
            struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
        )
        link = len(content)
        content += bytes(4)
    content[link : link + 4] = struct.pack("<I", last)
    return bytes(content)


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([(5000, 5000)] * 100, "2500 MB, the limit is 600 MB"),
        ([(1, 1)] * 2000, "on page 513"),
        ([(8, 8), (30_000, 30_000)], "30000x30000 pixels with 1 samples each on page 2"),
    ],
)
def test_every_page_of_a_tiff_is_bounded_before_one_is_decoded(
    tmp_path: Path, sizes: list[tuple[int, int]], reason: str
) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff_of_pages([(8, 8)] if "page 2" in reason else sizes))
    if "page 2" in reason:  # a strip of that size would take a gigabyte to make
        path.write_bytes(tiff_of_pages([(8, 8), (9, 9)]).replace(struct.pack("<I", 9), struct.pack("<I", 30_000)))
    with pytest.raises(InputError, match=reason):
        read_stored(path, 1)


@pytest.mark.parametrize("second", [{256: 3_000_000, 277: 147}, {258: 64, 277: 4, 256: 20_000, 257: 4_000}])
def test_the_greater_of_a_tag_that_is_there_twice_is_bounded(tmp_path: Path, second: dict[int, int]) -> None:
    tags = [(256, 4, 8), (257, 4, 8), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 8)]
    tags += [(tag, 9, value) for tag, value in second.items()]  # 9 is a signed number, which decoders take as well
    entries = b"".join(struct.pack("<HHIi", tag, kind, 1, value) for tag, kind, value in tags)
    (tmp_path / "x.tif").write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4))
    with pytest.raises(InputError, match="too large"):
        read_stored(tmp_path / "x.tif", 5)


def test_pages_that_form_a_circle_are_read_once(tmp_path: Path) -> None:
    plain = tiff_of_pages([(4, 4), (4, 4)])
    circle = tiff_of_pages([(4, 4), (4, 4)], last=struct.unpack_from("<I", plain, 4)[0])
    (tmp_path / "x.tif").write_bytes(circle)
    with contextlib.suppress(InputError):  # OpenCV may refuse it; it must end
        assert read_stored(tmp_path / "x.tif", 2).shape == (4, 4, 2)


@pytest.mark.parametrize(
    "header",
    [
        b"(" * 9000,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"-" * 9000 + b"1, 2)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"+".join([b"1"] * 4000) + b", 2)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, True)}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999, 9999999999999)}",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1)}",
    ],
)
def test_a_hostile_npy_header_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(64))
    with pytest.raises(InputError, match=r"x\.npy"):
        read_stored(tmp_path / "x.npy", 1)
