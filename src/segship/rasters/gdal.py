"""GDAL behind rasterio: which of its formats are read, and with its ways to other machines shut."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import InputError, MissingExtraError, SegshipError, one_line
from segship.core.memory import is_out_of_memory
from segship.vision.decode import WARNING_FILTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WINDOWS", "gdal_errors", "has_rasterio", "open_dataset", "rasterio", "session"]

_DRIVERS = (
    (b"II*\0", "GTiff"),
    (b"MM\0*", "GTiff"),
    (b"II+\0", "GTiff"),
    (b"MM\0+", "GTiff"),
    (b"<VRTDataset", "VRT"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"\0\0\0\x0cjP  ", "JP2OpenJPEG"),
    (b"EHFA_HEADER_TAG", "HFA"),
    (b"BM", "BMP"),
)
_CACHE = 2**26  # bytes of decoded blocks that GDAL keeps

WINDOWS = 200 * 2**20
"""The same where windows are read line by line: the blocks under a line of windows over 30 000 pixels of four bands, of
which the next line needs some, are 190 MB."""


def rasterio() -> Any:
    """Return the library.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import rasterio
        import rasterio.shutil
    except ImportError as error:
        raise MissingExtraError("Reading and writing rasters by windows", "geo", "rasterio") from error
    return rasterio


def has_rasterio() -> bool:
    """Return whether the library is installed."""
    try:
        rasterio()
    except MissingExtraError:
        return False
    return True


@contextlib.contextmanager
def session(*, remote: bool = False, cache: int = _CACHE) -> Iterator[Any]:
    """Let GDAL work with bounded memory, and without a network.

    Args:
        remote: Let it read from other machines.
        cache: Bytes of decoded blocks that it keeps.

    Yields:
        The library.
    """
    library = rasterio()
    options: dict[str, Any] = {"GDAL_CACHEMAX": cache, "GDAL_VRT_ENABLE_PYTHON": "NO", "GTIFF_SRS_SOURCE": "GEOKEYS"}
    if not remote:
        options |= {"CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none", "GDAL_HTTP_TIMEOUT": "1"}
    with library.Env(**options):
        yield library


@contextlib.contextmanager
def gdal_errors(what: str) -> Iterator[None]:
    """What GDAL raises inside, as one line that begins with ``what``.

    Raises:
        InputError: It could not do it.
        SegshipError: There is not enough memory.
    """
    try:
        yield
    except SegshipError:
        raise
    except Exception as error:  # noqa: BLE001 - GDAL and rasterio raise many types
        if is_out_of_memory(error):
            raise SegshipError(f"{what}: there is not enough memory") from None
        raise InputError(f"{what}: {one_line(error.__cause__ or error)}") from None


def open_dataset(path: str, *, remote: bool = False) -> Any:
    """Open a file for reading, as what its first bytes say.

    Args:
        path: GeoTIFF, COG, VRT, PNG, JPEG, JPEG 2000, ERDAS, BMP, or the numbers beside an ENVI header.
        remote: Let it lie, or its parts, on other machines.

    Raises:
        InputError: It is none of these, or is damaged.
    """
    with (
        session(remote=remote) as library,
        gdal_errors(f"{path} cannot be opened"),
        WARNING_FILTERS,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of files without georeference, which are none the worse
        return library.open(path, driver=_driver(path))


def _driver(path: str) -> str:
    """GDAL's name of the format."""
    file = Path(path)
    if not file.is_file():
        return "VRT" if path.lower().endswith(".vrt") else "GTiff"
    with file.open("rb") as opened:
        head = opened.read(64).lstrip(b"\xef\xbb\xbf\r\n\t ")
    found = next((driver for beginning, driver in _DRIVERS if head.startswith(beginning)), None)
    if found is None and not file.with_suffix(".hdr").is_file():
        raise InputError(
            f"{path} is no raster that can be read by windows: expected GeoTIFF, COG, VRT, PNG, JPEG, JPEG 2000, "
            "ERDAS, BMP or ENVI"
        )
    return found or "ENVI"
