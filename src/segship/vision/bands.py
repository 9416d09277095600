"""Images with any number of bands, as stored: TIFF (samples or pages) and .npy, whole numbers or float."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

from segship.core.errors import InputError, MissingExtraError
from segship.vision.decode import MAX_PIXELS, read_image

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec

__all__ = ["Stored", "as_picture", "as_stored", "imitate", "read_pixels", "read_stored", "stored_bands", "visible"]

Stored: TypeAlias = "NDArray[np.uint8 | np.uint16 | np.float32]"

_KINDS = "uif"
_MOST_BANDS = 512
_PALETTE_CHANNELS = 4  # OpenCV decodes as many samples a pixel
_WIDTH, _HEIGHT, _SAMPLES = 256, 257, 277  # TIFF tags
_SIZES = {3: "H", 4: "I", 16: "Q"}  # TIFF's SHORT, LONG, LONG8
_SPREAD = 64.0  # of the bundled scenes' pixels, about
_MIDDLE = 128.0


def read_pixels(path: str | os.PathLike[str], spec: ModelSpec, *, max_pixels: int = MAX_PIXELS) -> Any:
    """An image file as the network of ``spec`` wants it: uint8 in the order BGR, or all bands as they are stored.

    Args:
        path: As for `read_image`, or for `read_stored`.
        spec: What the network expects.
        max_pixels: Largest width times height that is decoded.

    Raises:
        InputError: The file cannot be used.
    """
    if spec.pixels == "stored":
        return read_stored(path, spec.channels, max_pixels=max_pixels)
    return read_image(path, max_pixels=max_pixels)


def stored_bands(spec: ModelSpec) -> int | None:
    """How many bands images have that the network takes as they are stored; None: it takes photographs."""
    return spec.channels if spec.pixels == "stored" else None


def read_stored(path: str | os.PathLike[str], bands: int, *, max_pixels: int = MAX_PIXELS) -> Stored:
    """All bands of an image file, with the numbers it stores.

    Args:
        path: A TIFF whose pixels have ``bands`` samples, or that has a page for each band; or a ``.npy`` of shape
            (H, W, bands), (bands, H, W), or (H, W) for one band.
        bands: How many there must be.
        max_pixels: Largest width times height that is decoded.

    Returns:
        (H, W, bands), uint8, uint16 or float32.

    Raises:
        InputError: The file cannot be read, or has another number of bands.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(8)
        array = _read_npy(path, max_pixels) if head.startswith(b"\x93NUMPY") else _read_tiff(path, head, max_pixels)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    return _checked(_bands_last(array, bands), bands, str(path))


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
    return _checked(array[:, :, None] if array.ndim == 2 else array, bands, "the image")  # noqa: PLR2004


def _checked(array: NDArray[Any], bands: int, what: str) -> Stored:
    if array.ndim != 3 or array.shape[2] != bands or not array.size:  # noqa: PLR2004
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
    if array.ndim == 2:  # noqa: PLR2004
        return array[:, :, None]
    if array.ndim == 3 and array.shape[0] == bands != array.shape[2]:  # noqa: PLR2004
        return np.moveaxis(array, 0, 2)
    return array


def _read_npy(path: Path, max_pixels: int) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"{path} is no .npy file of numbers: {error}") from None
    if array.size > max_pixels * _MOST_BANDS or array.ndim not in {2, 3} or _pixels(array.shape) > max_pixels:
        raise InputError(f"{path} has the shape {array.shape}: expected an image of at most {max_pixels} pixels")
    return np.array(array)


def _pixels(shape: tuple[int, ...]) -> int:
    """Pixels of an image, wherever its bands are: the two longest sides."""
    sides = sorted(shape)[-2:]
    return sides[0] * sides[1]


def _read_tiff(path: Path, head: bytes, max_pixels: int) -> NDArray[Any]:
    if head[:4] not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        raise InputError(f"{path} is neither TIFF nor .npy: images of many bands are read from these")
    data = path.read_bytes()
    tags = dict(_tags(data))
    width, height, samples = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0), tags.get(_SAMPLES, 1)
    if not 0 < width * height <= max_pixels or samples > _MOST_BANDS:
        raise InputError(
            f"{path} is a TIFF of {width}x{height} pixels with {samples} samples each: expected at most {max_pixels} "
            f"pixels and {_MOST_BANDS} samples"
        )
    return _by_opencv(path, data) if samples <= _PALETTE_CHANNELS else _by_tifffile(path)


def _tags(data: bytes) -> Iterator[tuple[int, int]]:
    """Number and value of each whole-numbered tag of the first page; nothing where the file is cut off."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    word, count_size, entry = ("Q", 8, 20) if big else ("I", 2, 12)
    try:
        (start,) = struct.unpack_from(order + word, data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
        for index in range(min(count, 4096)):
            place = start + count_size + index * entry
            tag, kind = struct.unpack_from(order + "HH", data, place)
            if kind in _SIZES:
                yield tag, struct.unpack_from(order + _SIZES[kind], data, place + (12 if big else 8))[0]
    except struct.error:
        return


def _by_opencv(path: Path, data: bytes) -> NDArray[Any]:
    """Pages of up to four samples, one behind the other; OpenCV turns the first three samples round."""
    try:
        fine, pages = cv2.imdecodemulti(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        fine, pages = False, ()
    if not fine or len({page.shape[:2] for page in pages}) != 1:
        raise InputError(f"{path} cannot be decoded: the TIFF is cut off or damaged, or its pages differ in size")
    planes = [np.asarray(page) for page in pages]
    turned = [page[:, :, None] if page.ndim == 2 else page[:, :, _turned(page.shape[2])] for page in planes]  # noqa: PLR2004
    return np.concatenate(turned, axis=2)


def _turned(samples: int) -> list[int]:
    return [2, 1, 0, *range(3, samples)] if samples > 2 else list(range(samples))  # noqa: PLR2004


def _by_tifffile(path: Path) -> NDArray[Any]:
    try:
        import tifffile  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("Reading TIFF files of more than four samples a pixel", "tiff", "tifffile") from error
    try:
        array: NDArray[Any] = tifffile.imread(path)
    except Exception as error:
        raise InputError(f"{path} cannot be decoded: {' '.join(str(error).split())[:200]}") from error
    return array


def imitate(image: NDArray[np.uint8], spec: ModelSpec) -> Any:
    """A photograph as an image of many bands: its channels in turn, brought to each band's mean and deviation.

    Args:
        image: uint8 (H, W, 3).
        spec: What the network expects; where it takes uint8 pixels, ``image`` is returned as it is.
    """
    if spec.pixels != "stored":
        return image
    normal = spec.normalization
    bands = [
        mean + std * (image[:, :, band % 3].astype(np.float32) - _MIDDLE) / _SPREAD
        for band, (mean, std) in enumerate(zip(normal.mean, normal.std, strict=True))
    ]
    return np.stack(bands, axis=2).astype(np.float32)


def as_picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    """What people can look at: a photograph as it is, `visible` of anything else.

    Args:
        image: As `read_pixels` returns it.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    if image.dtype == np.uint8 and image.shape[2] == 3:  # noqa: PLR2004
        return np.ascontiguousarray(image[:, :, ::-1])
    return visible(image)


def visible(image: NDArray[Any]) -> NDArray[np.uint8]:
    """The first three bands (or the first, repeated) as a picture: each stretched over its own range.

    Args:
        image: (H, W, C).

    Returns:
        uint8 (H, W, 3), RGB where the bands are red, green and blue.
    """
    bands = [0, 1, 2] if image.shape[2] > 2 else [0, 0, 0]  # noqa: PLR2004
    picture = np.empty((*image.shape[:2], 3), np.uint8)
    for place, band in enumerate(bands):
        plane = image[:, :, band].astype(np.float32)
        low, high = np.percentile(plane, (2, 98))
        picture[:, :, place] = np.clip((plane - low) / max(high - low, 1e-12) * 255, 0, 255)
    return picture
