"""Image and label files to arrays, with every reason to refuse a file found before its pixels are decoded.

A 420 kB PNG may hold 1.4 GB of pixels, so the header is read first (by Pillow) and the fast decoder (OpenCV) sees only
files of a known format and a bearable size.
"""

from __future__ import annotations

import contextlib
import errno
import io
import mmap
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard

import numpy as np

from segship.core.errors import InputError, SegshipError, SegshipWarning, one_line, printable
from segship.core.memory import is_out_of_memory
from segship.vision.formats import HEAD, KNOWN, decode_by_pillow, find_format, has_whole_chunks
from segship.vision.headers import usual_size
from segship.vision.opencv_decode import decode_by_opencv
from segship.vision.tiff_tags import FirstPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from segship.vision.formats import Format

__all__ = [
    "MAX_PIXELS",
    "WARNING_FILTERS",
    "Encoded",
    "from_pillow",
    "image_size",
    "is_encoded",
    "is_pillow",
    "open_encoded",
    "read_grey",
    "read_image",
    "read_labels",
]

Encoded: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
"""An encoded image: the path of a file, the bytes of one, or a binary file object, which is read from where it stands
to its end and stays open."""

MAX_PIXELS = 100_000_000
"""Largest image, in pixels, that is decoded unless the caller allows more."""

_LABEL_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
_ANIMATED = ("GIF", "WebP", "AVIF")
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9"}  # without it the file was cut off
_GREY_STEPS = {"L;2": 85, "L;4": 17}  # Pillow stretches 2- and 4-bit grey to 0-255
_MOST_SCANNED = 2_000_000_000  # pixels times passes of a progressive file; usual ones have ten passes
_FIRST = 1 << 16  # bytes of a file that mostly hold its header
_MILLIONS = 1_000_000  # from here on a limit is told in millions
WARNING_FILTERS = threading.Lock()
"""Held while Python's warning filters, which are process-wide, are changed."""

_UINT16 = np.iinfo(np.uint16)


def is_encoded(image: object) -> TypeGuard[Encoded]:
    """Return whether ``image`` is a path, bytes or a file object, rather than pixels.

    Args:
        image: Anything.
    """
    return isinstance(image, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(image, "read")


def is_pillow(image: object) -> TypeGuard[Image]:
    """Return whether ``image`` is one of Pillow's; where Pillow was not imported, there is none.

    Args:
        image: Anything.
    """
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _require_file(path: Path) -> None:
    if "\0" in str(path):
        raise _unreadable(printable(str(path)), OSError(errno.EINVAL, "the name holds the character 0"))
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise _unreadable(str(path), OSError(errno.EINVAL, "it is a fifo or a device, which may never end"))


@contextlib.contextmanager
def open_encoded(image: Encoded) -> Iterator[tuple[str, BinaryIO]]:
    """Open an encoded image.

    Args:
        image: A path, bytes, or a binary file object.

    Yields:
        What to call the image in messages, and a seekable binary file that stands at its first byte.

    Raises:
        InputError: There is no such file, it cannot be read, or it is opened as text.
    """
    if isinstance(image, (str, os.PathLike)):
        path = Path(image)
        try:
            _require_file(path)
            with path.open("rb") as file:
                yield str(path), file
        except OSError as error:
            if error.errno is None:  # a decoder's, who speaks of the content
                raise
            raise _unreadable(str(path), error) from None
        return
    if isinstance(image, (bytes, bytearray, memoryview)):
        yield "the image", io.BytesIO(image)
        return
    name = getattr(image, "name", None)
    called = name if isinstance(name, str) else "the image"
    try:
        data: object = image.read()  # uploads and sockets are not seekable
    except OSError as error:
        raise _unreadable(called, error) from None
    if not isinstance(data, bytes):
        raise InputError(f"{called} is opened as text: open it with mode 'rb'")
    yield called, io.BytesIO(data)


def read_image(image: Encoded, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """Decode an image as ``cv2.imread(path, cv2.IMREAD_COLOR)`` does.

    Palettes become colours, grey is repeated, alpha is dropped, 16 bits become 8, an EXIF rotation is applied, and of a
    file with several pictures the first is taken, of an animation with a warning.

    Args:
        image: PNG, JPEG, BMP, TIFF, WebP, GIF, JPEG 2000, or, with the extra ``images``, AVIF and HEIC: the path of a
            file, whatever its suffix says; its bytes; or a binary file object.
        max_pixels: Largest width times height that is decoded.

    Returns:
        uint8 (H, W, 3) in the order blue, green, red.

    Raises:
        InputError: There is no such file, or it is not an image, of another format, too large, cut off or damaged.
        SegshipError: There is not enough memory for it.
    """
    with open_encoded(image) as (name, file):
        form = _format(name, file)
        if form.name == "TIFF":
            return _read_tiff(name, file.read(), max_pixels)
        if form.name not in _ENDS:
            return _read_picture(name, form, file, max_pixels)
        data = file.read()
        size = usual_size(data) or _size_by_pillow(name, form, file, max_pixels)
    _require_bearable(name, size, max_pixels)
    if form.name == "JPEG" and data.count(b"\xff\xda") * size[0] * size[1] > _MOST_SCANNED:
        raise InputError(f"{name} is a JPEG of so many passes that decoding it takes minutes: save it again")
    if data.rfind(_ENDS[form.name]) < 0 or (form.name == "PNG" and not has_whole_chunks(data)):
        raise _damaged(name, form.name)
    return _checked(name, form.name, size, lambda: decode_by_opencv(data, size[0] * size[1]))


def _size_by_pillow(name: str, form: Format, file: BinaryIO, max_pixels: int) -> tuple[int, int]:
    file.seek(0)
    return _header(name, form, file, max_pixels).size


def _read_picture(name: str, form: Format, file: BinaryIO, max_pixels: int) -> NDArray[np.uint8]:
    """Decode the first picture of a format that may have several, or that Pillow decodes."""
    picture = _header(name, form, file, max_pixels)
    if form.name in _ANIMATED and getattr(picture, "is_animated", False):
        warnings.warn(f"{name} holds several pictures: the first is taken", SegshipWarning, stacklevel=3)
    if form.by_pillow:
        return _checked(name, form.name, picture.size, lambda: decode_by_pillow(picture))
    file.seek(0)
    data = file.read()
    return _checked(name, form.name, picture.size, lambda: decode_by_opencv(data))


def _read_tiff(name: str, data: bytes, max_pixels: int) -> NDArray[np.uint8]:
    """Decode the first page of a TIFF; Pillow does not know all of those that OpenCV decodes."""
    page = FirstPage.of(data)
    if page is None:
        raise _damaged(name, "TIFF")
    _require_bearable(name, page.size, max_pixels)
    if not page.is_photograph:
        raise InputError(
            f"{name} is a TIFF of {page.samples} band{'s' * (page.samples > 1)} of {page.kind}"
            f"{' that are no colours' * (page.grey and page.samples > 1)}: this network takes photographs, grey or in "
            "colours of 3 or 4 bands, of uint8 or uint16; convert it, or, if the network was trained on such images, "
            "say so in its description (pixels: multispectral)"
        )
    return _checked(name, "TIFF", page.size, lambda: decode_by_opencv(data))


def _checked(name: str, kind: str, size: tuple[int, int], decode: Callable[[], NDArray[Any] | None]) -> NDArray[Any]:
    """What a decoder returns; what it raises, or returns nothing for, is told as lack of memory or as damage."""
    found = None
    try:
        found = decode()
    except Exception as error:  # noqa: BLE001 - decoders raise many types
        lacking = is_out_of_memory(error)
    else:
        lacking = found is None and not _has_memory(size)
    if lacking:
        width, height = size
        raise SegshipError(f"{name} cannot be decoded: there is not enough memory for {width}x{height} pixels")
    if found is None:
        raise _damaged(name, kind)
    return found


def _has_memory(size: tuple[int, int]) -> bool:
    """Whether the pixels of an image could be held twice, as decoders do; OpenCV does not say why it failed."""
    try:
        np.empty((2, *size, 3), np.uint8)
    except MemoryError:
        return False
    return True


def image_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Return (width, height) of an image file as its header tells; None where it tells nothing.

    Args:
        path: Of any kind of file.
    """
    with open_encoded(path) as (name, file):
        form = find_format(file.read(HEAD))
        file.seek(0)
        if form is None:
            return None
        if form.name == "TIFF":
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                page = FirstPage.of(data)
            return None if page is None else page.size
        try:
            return usual_size(file.read(_FIRST)) or _size_by_pillow(name, form, file, sys.maxsize)
        except SegshipError:
            return None


def from_pillow(image: Image, *, max_pixels: int = MAX_PIXELS, stored: bool = False) -> NDArray[Any]:
    """Return the pixels of a Pillow image, as `read_image` would decode its file, but for an EXIF rotation.

    Args:
        image: Of any mode but ``I`` and ``F``, whose range is not known.
        max_pixels: Largest width times height that is decoded.
        stored: Return the numbers as they are instead, in any mode.

    Returns:
        uint8 (H, W, 3) in the order red, green, blue; if ``stored``, whatever NumPy makes of the image.

    Raises:
        InputError: Its mode is another, it is too large, or its file is damaged.
    """
    _require_bearable("the image", image.size, max_pixels)
    try:
        if stored:
            return np.asarray(image)
        if image.mode.startswith("I;16"):
            grey = (np.asarray(image) >> 8).astype(np.uint8)  # what decoders keep of 16 bits
            return np.repeat(grey[:, :, None], 3, axis=2)
        if image.mode in {"I", "F"}:
            raise InputError(f"the image's mode is {image.mode}, whose range is not known: convert it to L or RGB")
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the image cannot be decoded: {one_line(error)}") from None


def read_grey(image: Encoded, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a grey picture with the numbers it stores.

    Args:
        image: As for `read_image`, of one grey channel of 8 or 16 bits.
        max_pixels: Largest width times height that is decoded.

    Returns:
        (H, W), uint8 or uint16.

    Raises:
        InputError: As for `read_image`; or the file stores colours, or other numbers.
    """
    with open_encoded(image) as (name, file):
        picture = _header(name, _format(name, file), file, max_pixels)
        if picture.mode != "L" and not picture.mode.startswith("I;16"):
            raise InputError(
                f"{name} stores pixels of the kind {picture.mode}, and this network takes one band: expected grey of 8 "
                "or 16 bits, TIFF or .npy; convert it"
            )
        found = _checked(name, picture.format or "", picture.size, lambda: from_pillow(picture, stored=True))
    return found if found.dtype == np.uint8 else found.astype(np.uint16)


def read_labels(
    path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, colours: bool = False
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read a label map: the number that each pixel stores, a palette left aside.

    Args:
        path: A PNG, TIFF, BMP or GIF file with a palette or with one grey channel of 1 to 16 bits, or of
            whole numbers that are stored as float.
        max_pixels: Largest width times height that is decoded.
        colours: Do not refuse a file that stores colours.

    Returns:
        (H, W), uint8, or uint16 when the file has more than 8 bits; uint8 (H, W, 3), RGB, when it stores colours.

    Raises:
        InputError: As for `read_image`; or the file stores colours, or values outside 0-65535.
    """
    name = str(path)
    try:
        with open_encoded(path) as (_, file):
            return _stored_labels(name, file, max_pixels, colours=colours)
    except (InputError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - Pillow raises many types on damaged files
        raise _damaged(name, "label") from None


def _stored_labels(
    name: str, file: BinaryIO, max_pixels: int, *, colours: bool
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    form = _format(name, file)
    if form.name not in _LABEL_FORMATS:
        raise InputError(f"{name} is a {form.name} file, whose compression changes values: store labels as PNG")
    picture = _header(name, form, file, max_pixels)
    if colours and picture.mode in {"RGB", "RGBA"}:
        return np.asarray(picture, np.uint8)[:, :, :3]
    return _indices(name, picture)


def _format(name: str, file: BinaryIO) -> Format:
    """The format of a file that stands at its first byte, and does so again."""
    head = file.read(HEAD)
    form = find_format(head)
    if form is None:
        what = "is empty" if not head else "is not an image of a known format"
        raise InputError(f"{name} {what}: expected {KNOWN}")
    file.seek(0)
    return form


def _header(name: str, form: Format, file: BinaryIO, max_pixels: int) -> ImageFile:
    """Read the header; no pixel is decoded."""
    try:
        with WARNING_FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of what it then raises
            picture = form.open(name, file)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  # Pillow raises many types on a damaged header
        if is_out_of_memory(error):
            raise SegshipError(f"{name} cannot be read: there is not enough memory") from None
        raise _damaged(name, form.name) from None
    _require_bearable(name, picture.size, max_pixels)
    return picture


def _require_bearable(name: str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        found, limit = (f"{pixels / 1e6:.0f} million" for pixels in (width * height, max_pixels))
        if found == limit or max_pixels < _MILLIONS:
            found, limit = f"{width * height:,}", f"{max_pixels:,}"
        raise InputError(
            f"{name} is too large: {width}x{height} pixels are {found}, the limit is {limit}; shrink it, or raise the "
            "limit (--max-pixels of predict and evaluate, max_pixels in Python)"
        )


def _indices(name: str, picture: ImageFile) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The stored numbers of a picture that has one channel."""
    if picture.mode not in {"1", "L", "P", "I", "F", "I;16", "I;16B", "I;16L"}:
        raise InputError(
            f"{name} stores colours ({picture.mode}), not labels: expected one number a pixel, grey or palette; "
            "turn each colour into its class number first"
        )
    step = _GREY_STEPS.get(str(picture.tile[0][3]), 1) if picture.tile else 1
    values = np.asarray(picture)
    if values.dtype.itemsize == 1:
        return values.astype(np.uint8) // np.uint8(step)
    if values.dtype.kind == "f" and not (values == np.rint(values)).all():
        raise InputError(f"{name} holds float numbers that are not whole: labels are whole numbers, one a pixel")
    if values.min() < 0 or values.max() > _UINT16.max:
        raise InputError(f"{name} has values from {values.min()} to {values.max()}: labels are within 0-65535")
    return values.astype(np.uint16)


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"cannot read {name}: {error.strerror or error}")


def _damaged(name: str, kind: str) -> InputError:
    return InputError(f"{name} cannot be decoded: the {kind} file is cut off or damaged; save or copy it again")
