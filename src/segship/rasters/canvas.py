"""Results of a raster: numbers written block by block, in any order and again after a kill, then made a COG."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from segship.core.errors import InputError
from segship.rasters.gdal import gdal_errors, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from xml.etree import ElementTree as ET

    from numpy.typing import NDArray

    from segship.rasters.source import Georeference

__all__ = ["Canvas", "Meaning", "write_cog"]

_BANDS_OF_ROWS = 1024  # rows read at once
_TYPES = {"uint8": ("Byte", 1), "uint16": ("UInt16", 12), "float32": ("Float32", 4)}  # GDAL's and ENVI's names
_COLOURS = 256
_LEAST = 4  # bytes: GDAL recognises no file of one byte


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a result mean.

    Attributes:
        nodata: The number of pixels without a value; None: there is none.
        classes: Name of each label, for label maps.
        palette: Its colour.
        bands: Name of each band, for other results.
        scale: What a number is multiplied by to be a share of one.
        half: Store float of 16 bits.
    """

    nodata: float | None = None
    classes: Sequence[str] = ()
    palette: Sequence[tuple[int, int, int]] = ()
    bands: Sequence[str] = ()
    scale: float = 1.0
    half: bool = False


class Canvas:
    """A file of plain numbers, (bands, H, W), of which rectangles are written.

    Args:
        path: Where it is; what is there already stays.
        size: (height, width).
        dtype: Of the numbers: uint8, uint16 or float16.
        bands: How many.

    Raises:
        InputError: The disk has no room for it.
    """

    def __init__(self, path: Path, size: tuple[int, int], dtype: str, bands: int = 1) -> None:
        self.path, self.size, self.bands, self.dtype = path, size, bands, np.dtype(dtype)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            os.truncate(self._file, max(_LEAST, bands * size[0] * size[1] * self.dtype.itemsize))
        except OSError as error:
            os.close(self._file)
            raise InputError(f"cannot write {path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write a rectangle.

        Args:
            rows: Its rows.
            columns: Its columns.
            values: (H, W), or (bands, H, W).

        Raises:
            InputError: The disk is full.
        """
        height, width = self.size
        planes = np.ascontiguousarray(values, self.dtype).reshape(self.bands, rows.stop - rows.start, -1)
        try:
            for band, plane in enumerate(planes):
                for row, line in enumerate(plane, rows.start):
                    place = (band * height + row) * width + columns.start
                    os.pwrite(self._file, line.data, place * self.dtype.itemsize)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror or error}") from error

    def read(self, rows: slice) -> NDArray[Any]:
        """Return whole rows (bands, H, W)."""
        height, width = self.size
        found = np.empty((self.bands, rows.stop - rows.start, width), self.dtype)
        for band, plane in enumerate(found):
            place = (band * height + rows.start) * width * self.dtype.itemsize
            os.preadv(self._file, [plane.reshape(-1).view(np.uint8).data], place)
        return found

    def bands_of_rows(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield all rows from the top, some at a time."""
        for first in range(0, self.size[0], _BANDS_OF_ROWS):
            rows = slice(first, min(first + _BANDS_OF_ROWS, self.size[0]))
            yield rows, self.read(rows)


def write_cog(canvas: Canvas, to: Path, ground: Georeference, meaning: Meaning) -> None:
    """Write the numbers as a Cloud Optimized GeoTIFF.

    Args:
        canvas: The numbers; files are made beside it.
        to: The COG; what GDAL cannot say in it, as the names of classes, lies in ``to`` with ``.aux.xml`` behind it.
        ground: Where it lies.
        meaning: What the numbers mean.

    Raises:
        InputError: It cannot be written.
    """
    plain, dtype = canvas.path, str(canvas.dtype)
    if dtype == "float16":  # which ENVI does not know
        plain, dtype = canvas.path.with_suffix(".single"), "float32"
        _widen(canvas, plain)
    height, width = canvas.size
    header = f"ENVI\nsamples = {width}\nlines = {height}\nbands = {canvas.bands}\nheader offset = 0\n"
    header += f"file type = ENVI Standard\ndata type = {_TYPES[dtype][1]}\ninterleave = bsq\nbyte order = 0\n"
    plain.with_suffix(".hdr").write_text(header)
    described = plain.with_suffix(".vrt")
    described.write_bytes(_describe(plain, canvas, dtype, ground, meaning))
    made = plain.with_suffix(".tif")
    options = {"COMPRESS": "DEFLATE", "BLOCKSIZE": "512", "BIGTIFF": "IF_SAFER", "OVERVIEW_RESAMPLING": "NEAREST"}
    options |= {"NUM_THREADS": "ALL_CPUS"}  # the same bytes, sooner
    if meaning.half:
        options |= {"NBITS": "16"}
    with session() as library, gdal_errors(f"cannot write {to}"):
        library.shutil.copy(str(described), str(made), driver="COG", **options)
        to.parent.mkdir(parents=True, exist_ok=True)
        beside = made.with_name(made.name + ".aux.xml")
        if beside.exists():
            beside.replace(to.with_name(to.name + ".aux.xml"))
        made.replace(to)


def _widen(canvas: Canvas, to: Path) -> None:
    """The same numbers as float32, band after band."""
    with to.open("wb") as file:
        for band in range(canvas.bands):
            for first in range(0, canvas.size[0], _BANDS_OF_ROWS):
                rows = slice(first, min(first + _BANDS_OF_ROWS, canvas.size[0]))
                file.write(canvas.read(rows)[band].astype(np.float32).tobytes())


def _describe(plain: Path, canvas: Canvas, dtype: str, ground: Georeference, meaning: Meaning) -> bytes:
    """A VRT of the plain numbers with all that is known of them."""
    from xml.etree import ElementTree as ET  # loaded for rasters alone

    height, width = canvas.size
    root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if ground.points:
        points = ET.SubElement(root, "GCPList", Projection=ground.crs or "")
        for number, (row, column, x, y) in enumerate(ground.points):
            place = {"Id": str(number), "Pixel": repr(column), "Line": repr(row), "X": repr(x), "Y": repr(y)}
            ET.SubElement(points, "GCP", place)
    elif ground.crs:
        ET.SubElement(root, "SRS", dataAxisToSRSAxisMapping="1,2").text = ground.crs
    if ground.transform:
        ET.SubElement(root, "GeoTransform").text = ", ".join(map(repr, ground.transform))
    if meaning.classes:
        facts = ET.SubElement(root, "Metadata")
        ET.SubElement(facts, "MDI", key="CLASS_NAMES").text = json.dumps(list(meaning.classes), ensure_ascii=False)
    for number in range(1, canvas.bands + 1):
        _describe_band(root, plain, number, dtype, meaning)
    return ET.tostring(root)


def _describe_band(root: ET.Element, plain: Path, number: int, dtype: str, meaning: Meaning) -> None:
    from xml.etree import ElementTree as ET

    band = ET.SubElement(root, "VRTRasterBand", dataType=_TYPES[dtype][0], band=str(number))
    if meaning.bands:
        ET.SubElement(band, "Description").text = meaning.bands[number - 1]
    if meaning.nodata is not None:
        ET.SubElement(band, "NoDataValue").text = repr(meaning.nodata)
    if meaning.scale != 1:
        ET.SubElement(band, "Scale").text = repr(meaning.scale)
    if meaning.classes:
        ET.SubElement(band, "ColorInterp").text = "Palette" if dtype == "uint8" else "Gray"
        names = ET.SubElement(band, "CategoryNames")
        for name in meaning.classes:
            ET.SubElement(names, "Category").text = name
    if meaning.classes and dtype == "uint8":
        table = ET.SubElement(band, "ColorTable")
        for red, green, blue in [*meaning.palette, *[(0, 0, 0)] * _COLOURS][:_COLOURS]:
            ET.SubElement(table, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4="255")
    source = ET.SubElement(band, "SimpleSource")
    ET.SubElement(source, "SourceFilename", relativeToVRT="1").text = plain.name
    ET.SubElement(source, "SourceBand").text = str(number)
