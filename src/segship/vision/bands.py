"""Images with any number of bands, as stored: TIFF (samples or pages) and .npy, whole numbers or float."""

from __future__ import annotations

import contextlib
import io
import math
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import cv2
import numpy as np

from segship.core.errors import InputError, MissingExtraError, one_line
from segship.vision.decode import MAX_PIXELS, open_encoded, read_grey, read_image
from segship.vision.tiff_tags import BITS, HEIGHT, SAMPLES, WIDTH, pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.vision.decode import Encoded

__all__ = [
    "Stored",
    "as_picture",
    "as_stored",
    "read_pixels",
    "read_stored",
    "stored_bands",
    "synthesize_bands",
    "to_preview_rgb",
]

Stored: TypeAlias = "NDArray[np.uint8 | np.uint16 | np.float32]"

_KINDS = "uif"
_TIFF = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})
_MOST_BANDS = 512
_MOST_BYTES = 6  # times the pixels that are allowed: of all bands together, as stored
_PALETTE_CHANNELS = 4  # OpenCV decodes as many samples a pixel
_SPREAD = 64.0  # of the bundled scenes' pixels, about
_MIDDLE = 128.0


def read_pixels(image: Encoded, spec: ModelSpec, *, max_pixels: int = MAX_PIXELS) -> Any:
    """Decode an image as the network of ``spec`` wants it: uint8 in the order BGR, or all bands as they are stored.

    Args:
        image: As for `read_image`, or for `read_stored`.
        spec: What the network expects.
        max_pixels: Largest width times height that is decoded.

    Raises:
        InputError: The image cannot be used.
    """
    if spec.pixels == "multispectral":
        return read_stored(image, spec.channels, max_pixels=max_pixels)
    return read_image(image, max_pixels=max_pixels)


def stored_bands(spec: ModelSpec) -> int | None:
    """Return the number of bands of images that the network takes as they are stored; None: it takes photographs."""
    return spec.channels if spec.pixels == "multispectral" else None


def read_stored(image: Encoded, bands: int, *, max_pixels: int = MAX_PIXELS) -> Stored:
    """Read all bands of an image, with the numbers it stores.

    Args:
        image: A TIFF whose pixels have ``bands`` samples, or that has a page for each band; or a ``.npy`` of shape
            (H, W, bands), (bands, H, W), or (H, W) for one band; one band is read from grey pictures, too. A path,
            bytes, or a binary file object.
        bands: How many there must be.
        max_pixels: Largest width times height that is decoded.

    Returns:
        (H, W, bands), uint8, uint16 or float32.

    Raises:
        InputError: The image cannot be read, or has another number of bands.
    """
    with open_encoded(image) as (name, file):
        head = file.read(8)
        file.seek(0)
        if head.startswith(b"\x93NUMPY"):
            array = _read_npy(name, file, max_pixels)
        elif bands == 1 and head[:4] not in _TIFF:
            array = read_grey(file, max_pixels=max_pixels)
        else:
            array = _read_tiff(name, head, file.read, max_pixels)
    return _checked(_bands_last(array, bands), bands, name)


def as_stored(array: NDArray[Any], bands: int) -> Stored:
    """Check an image of ``bands`` bands that a caller holds in memory.

    Args:
        array: (H, W, bands), or (H, W) for one band; whole numbers or float.
        bands: How many there must be.

    Raises:
        InputError: It is anything else.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f"an image of {bands} bands is a path or an array, not {type(array).__name__}")
    return _checked(array[:, :, None] if array.ndim == 2 else array, bands, "the image")


def _checked(array: NDArray[Any], bands: int, what: str) -> Stored:
    if array.ndim != 3 or array.shape[2] != bands or not array.size:
        raise InputError(f"{what} has the shape {array.shape}, this network takes (height, width, {bands})")
    if array.dtype.kind not in _KINDS:
        raise InputError(f"{what} holds {array.dtype} numbers: whole numbers and float are provided")
    if array.dtype in (np.dtype(np.uint8), np.dtype(np.uint16)):
        return array
    numbers: Stored = array.astype(np.float32, copy=False)
    if not np.isfinite(numbers).all():
        raise InputError(f"{what} holds NaN or infinity: replace them, as by the band's mean")
    return numbers


def _bands_last(array: NDArray[Any], bands: int) -> NDArray[Any]:
    if array.ndim == 2:
        return array[:, :, None]
    if array.ndim == 3 and array.shape[0] == bands != array.shape[2]:
        return np.moveaxis(array, 0, 2)
    return array


def _read_npy(name: str, file: BinaryIO, max_pixels: int) -> NDArray[Any]:
    with _npy_errors(name):
        shape, size = _npy_shape(file)
    if len(shape) not in {2, 3} or _pixels(shape) > max_pixels:
        raise InputError(f"{name} has the shape {shape}: expected an image of at most {max_pixels} pixels")
    _require_bearable_bytes(name, math.prod(shape) * size, max_pixels)
    file.seek(0)
    with _npy_errors(name):
        array: NDArray[Any] = np.load(file, allow_pickle=False)
    return array


@contextlib.contextmanager
def _npy_errors(name: str) -> Iterator[None]:
    """What NumPy raises on a damaged file, in one line; its header is Python text, and may raise anything."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        raise InputError(f"{name} is no .npy file of numbers: {one_line(error)}") from None


def _npy_shape(file: BinaryIO) -> tuple[tuple[int, ...], int]:
    """The shape that the header names, and the bytes of a number; no number is read."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of the format is not provided")
    shape, _, dtype = readers[version](file)
    if not all(type(side) is int for side in shape):
        raise ValueError(f"the shape {shape} is not of whole numbers")
    return shape, dtype.itemsize


def _require_bearable_bytes(name: str, size: int, max_pixels: int) -> None:
    """Raise where all bands together take more memory than can be borne."""
    if size > _MOST_BYTES * max_pixels:
        raise InputError(
            f"{name} is too large: its bands hold {size / 1e6:.0f} MB, the limit is "
            f"{_MOST_BYTES * max_pixels / 1e6:.0f} MB; cut it into parts or raise the limit of pixels"
        )


def _pixels(shape: tuple[int, ...]) -> int:
    """Pixels of an image, wherever its bands are: the two longest sides."""
    sides = sorted(shape)[-2:]
    return sides[0] * sides[1]


def _read_tiff(name: str, head: bytes, read: Callable[[], bytes], max_pixels: int) -> NDArray[Any]:
    if head[:4] not in _TIFF:
        raise InputError(f"{name} is neither TIFF nor .npy: images of many bands are read from these")
    data = read()
    stored, most, samples_in_all = 0, 0, 0
    for number, tags in enumerate(pages(data)):
        width, height, samples = tags.get(WIDTH, 0), tags.get(HEIGHT, 0), tags.get(SAMPLES, 1)
        if not 0 < width * height <= max_pixels or not 0 < samples <= _MOST_BANDS or number >= _MOST_BANDS:
            raise InputError(
                f"{name} is a TIFF of {width}x{height} pixels with {samples} samples each on page {number + 1}: "
                f"expected at most {max_pixels} pixels, {_MOST_BANDS} samples and as many pages"
            )
        number_size = max(1, tags.get(BITS, 1) // 8)
        stored, most = stored + width * height * samples * number_size, max(most, samples)
        samples_in_all += samples
    if not most:
        raise InputError(f"{name} is cut off or damaged: no page of the TIFF can be found; save or copy it again")
    _require_bearable_bytes(name, stored, max_pixels)
    if most > _PALETTE_CHANNELS:
        return _by_tifffile(name, data, max_pixels)
    array = _by_opencv(name, data)
    # OpenCV keeps one of the samples where they are said to be grey and others beside it, as GDAL's are.
    return array if array.shape[2] == samples_in_all else _by_tifffile(name, data, max_pixels)


def _by_opencv(name: str, data: bytes) -> NDArray[Any]:
    """Pages of up to four samples, one behind the other; OpenCV turns the first three samples round."""
    try:
        fine, decoded = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        fine, decoded = False, ()
    if not fine or len({page.shape[:2] for page in decoded}) != 1:
        raise InputError(f"{name} cannot be decoded: the TIFF is cut off or damaged, or its pages differ in size")
    planes = [np.asarray(page) for page in decoded]
    ordered = [page[:, :, None] if page.ndim == 2 else page[:, :, _rgb_order(page.shape[2])] for page in planes]
    return np.concatenate(ordered, axis=2)


def _rgb_order(samples: int) -> list[int]:
    return [2, 1, 0, *range(3, samples)] if samples > 2 else list(range(samples))


def _by_tifffile(name: str, data: bytes, max_pixels: int) -> NDArray[Any]:
    try:
        import tifffile
    except ImportError as error:
        raise MissingExtraError("Reading TIFF files of more than four samples a pixel", "tiff", "tifffile") from error
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]  # other tags, and texts, too, say how many numbers it is read as
            _require_bearable_bytes(name, series.nbytes, max_pixels)
            array: NDArray[Any] = series.asarray()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} cannot be decoded: {one_line(error, joined=True)}") from error
    return array


def synthesize_bands(image: NDArray[np.uint8], spec: ModelSpec) -> Any:
    """Return a photograph as an image of many bands: its channels in turn, brought to each band's mean and deviation.

    Args:
        image: uint8 (H, W, 3).
        spec: What the network expects; where it takes uint8 pixels, ``image`` is returned as it is.
    """
    if spec.pixels != "multispectral":
        return image
    normal = spec.normalization
    bands = [
        mean + std * (image[:, :, band % 3].astype(np.float32) - _MIDDLE) / _SPREAD
        for band, (mean, std) in enumerate(zip(normal.mean, normal.std, strict=True))
    ]
    return np.stack(bands, axis=2).astype(np.float32)


def as_picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture for people to look at: a photograph as it is, `to_preview_rgb` of anything else.

    Args:
        image: As `read_pixels` returns it.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.ascontiguousarray(image[:, :, ::-1])
    return to_preview_rgb(image)


def to_preview_rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the first three bands (or the first, repeated) as a picture: each stretched over its own range.

    Args:
        image: (H, W, C).

    Returns:
        uint8 (H, W, 3), RGB where the bands are red, green and blue.
    """
    bands = [0, 1, 2] if image.shape[2] > 2 else [0, 0, 0]
    picture = np.empty((*image.shape[:2], 3), np.uint8)
    for place, band in enumerate(bands):
        plane = image[:, :, band].astype(np.float32)
        low, high = np.percentile(plane, (2, 98))
        picture[:, :, place] = np.clip((plane - low) / max(high - low, 1e-12) * 255, 0, 255)
    return picture
