"""A raster that is read window by window."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from segship.core.errors import InputError
from segship.rasters.gdal import WINDOWS, gdal_errors, open_dataset, session
from segship.rasters.mosaics import SUFFIX, require_local, sources_of
from segship.vision.decode import MAX_PIXELS
from segship.vision.tiff_tags import pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["Georeference", "Raster"]

_MOST_BANDS = 512
_MOST_BLOCK = 2**29  # bytes that one block of the file may decode to
_KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_HALF = 0.5
_ORIENTATION = 274  # tag of TIFF
_PNG_INTERLACE = 28  # place of the byte in a PNG file
_PICTURES = ("PNG", "JPEG", "BMP")
_REMOTE = ("/vsi", "http:/", "https:/", "s3:/", "gs:/", "az:/", "ftp:/")


@dataclass(frozen=True, eq=False)
class Georeference:
    """Where a raster lies on the ground.

    Attributes:
        crs: Coordinate reference system as WKT; None: not known.
        transform: The six numbers of GDAL's geotransform; None: not known.
        points: Ground control points as (row, column, x, y), where there are these instead.
    """

    crs: str | None
    transform: tuple[float, ...] | None
    points: tuple[tuple[float, float, float, float], ...] = ()


class Raster:
    """An opened raster.

    One thread reads at a time. Files whose blocks are whole rows are read by bands of rows, each once.

    Args:
        path: GeoTIFF, COG, VRT, JPEG 2000, PNG, JPEG, ENVI, ERDAS or BMP.
        remote: Let GDAL read from other machines.

    Raises:
        InputError: It cannot be opened, holds complex numbers, or has blocks or bands beyond all measure.
    """

    def __init__(self, path: Path, *, remote: bool = False) -> None:
        self.path, self._remote = path, remote
        _require_file(path, remote=remote)
        self._dataset = data = open_dataset(_as_address(path), remote=remote)
        self.size: tuple[int, int] = (data.height, data.width)
        """(height, width) in pixels."""
        self.count: int = data.count
        """How many bands it has."""
        self.bands: tuple[int, ...] = ()
        """The bands that are read, from 1 on."""
        self.dtype = ""
        """Type of their numbers, as NumPy calls it."""
        _require_moderate(path, data)
        if path.suffix.lower() == SUFFIX and not remote:
            _require_one_system(path, data)
        self._by_rows = data.block_shapes[0][1] == data.width and data.width > data.block_shapes[0][0]
        self._rows: tuple[int, NDArray[Any]] | None = None
        self.select(tuple(range(1, data.count + 1)))

    def select(self, bands: Sequence[int]) -> None:
        """Choose the bands that are read.

        Args:
            bands: Their numbers, from 1 on.

        Raises:
            InputError: There is no such band.
        """
        if wrong := next((band for band in bands if not 1 <= band <= self.count), None):
            raise InputError(f"{self.path} has {self.count} bands, and band {wrong} is asked for")
        self.bands, self._rows = tuple(bands), None
        self.dtype = str(np.result_type(*(np.dtype(self._dataset.dtypes[band - 1]) for band in bands)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()

    @property
    def georeference(self) -> Georeference:
        """Where it lies on the ground."""
        data = self._dataset
        points, crs = data.gcps
        crs = data.crs or crs
        moved = None if data.transform.is_identity else data.transform.to_gdal()
        places = tuple((one.row, one.col, one.x, one.y) for one in points)
        return Georeference(crs.to_wkt() if crs else None, moved, places)

    def lies_where(self, other: Raster) -> bool:
        """Return whether this raster lies on the same ground as another of the same size, to half a pixel.

        Args:
            other: Where one of the two does not say where it lies, it does.
        """
        first, second = self._dataset, other._dataset
        if first.crs and second.crs and first.crs != second.crs:
            return False
        if first.transform.is_identity or second.transform.is_identity:
            return True
        corners = [(0, 0), (first.width, first.height)]
        moved = [~first.transform * (second.transform * corner) for corner in corners]
        return all(
            max(abs(x - column), abs(y - row)) <= _HALF for (column, row), (x, y) in zip(corners, moved, strict=True)
        )

    @property
    def metres_per_pixel(self) -> float | None:
        """Length of a pixel's side on the ground, in the middle of the raster; None: not known."""
        data = self._dataset
        if not data.crs or data.transform.is_identity:
            return None
        place = data.transform
        area = abs(place.a * place.e - place.b * place.d)
        if data.crs.is_geographic:
            middle = place.d * data.width / 2 + place.e * data.height / 2 + place.f
            return float(np.sqrt(area * np.cos(np.radians(middle))) * 111_195.0)
        return float(np.sqrt(area) * data.crs.linear_units_factor[1])

    @property
    def colours(self) -> NDArray[np.uint8] | None:
        """RGB (256, 3) of each number of its only band, where it has a palette."""
        data = self._dataset
        if data.count != 1 or data.colorinterp[0].name != "palette":
            return None
        table = np.zeros((256, 3), np.uint8)
        for number, colour in data.colormap(1).items():
            table[number & 255] = colour[:3]
        return table

    @property
    def alpha(self) -> tuple[int, ...]:
        """Its bands that say how opaque a pixel is."""
        return tuple(place for place, kind in enumerate(self._dataset.colorinterp, 1) if kind.name == "alpha")

    @property
    def _mask(self) -> Literal["none", "numbers", "mask"]:
        """What says that a pixel has no value: nothing, a number of its bands, or a mask or band of its own."""
        if self._dataset.driver in _PICTURES:
            return "none"  # an alpha of theirs is for looks
        flags = {flag.name for band in self.bands for flag in self._dataset.mask_flag_enums[band - 1]}
        if "nodata" in flags:
            return "numbers"
        seen = "alpha" in flags and set(self.alpha) <= set(self.bands)
        return "mask" if "per_dataset" in flags and not seen else "none"

    @property
    def is_whole(self) -> bool:
        """Whether every pixel has a value: there is neither a mask nor a number that means none."""
        return self._mask == "none" and np.dtype(self.dtype).kind != "f"

    def read(self, rows: slice, columns: slice, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Read a rectangle.

        Args:
            rows: Its rows, with a start and a stop, which may be fractions where ``shape`` is given.
            columns: Its columns.
            shape: (height, width) to resample to, bilinearly; None: as it is.

        Returns:
            (bands, H, W), as stored.

        Raises:
            InputError: The file is damaged there.
        """
        with self._reading():
            if shape is not None:
                return self._resampled(rows, columns, shape)
            if not self._by_rows:
                return self._cut(rows, columns)
            held = self._held(rows)
            return np.asarray(held[:, :, columns])

    def hold(self, rows: slice) -> None:
        """Tell which rows the next rectangles are of, so that a file by rows decodes them once."""
        if self._by_rows:
            with self._reading():
                self._held(rows)

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """Tell which pixels of a rectangle have a value.

        Args:
            rows: Its rows.
            columns: Its columns.

        Returns:
            (H, W); None: all of them.
        """
        if self.is_whole:
            return None
        found: NDArray[np.bool_] = np.ones((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
        if self._mask == "mask":
            with self._reading():
                found &= self._dataset.read_masks(self.bands[0], window=_window(rows, columns)) != 0
        if self._mask == "numbers" or np.dtype(self.dtype).kind == "f":
            found &= self._have_numbers(self.read(rows, columns))
        return None if found.all() else found

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """What GDAL does inside is to read pixels."""
        with session(remote=self._remote, cache=WINDOWS), gdal_errors(f"{self.path} is cut off or damaged"):
            yield

    def _have_numbers(self, pixels: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether any band has a number that means something, and all are finite."""
        meant = np.zeros(pixels.shape[1:], np.bool_)
        for band, plane in zip(self.bands, pixels, strict=True):
            nothing = self._dataset.nodatavals[band - 1]
            meant |= np.ones_like(meant) if nothing is None or np.isnan(nothing) else plane != nothing
        if pixels.dtype.kind == "f":
            meant &= np.isfinite(pixels).all(axis=0)
        return meant

    def _cut(self, rows: slice, columns: slice) -> NDArray[Any]:
        return np.asarray(self._dataset.read(list(self.bands), window=_window(rows, columns)))

    def _held(self, rows: slice) -> NDArray[Any]:
        """The rows, decoded from the last that are held on."""
        begin, held = self._rows or (0, np.empty((len(self.bands), 0, self.size[1]), self.dtype))
        end = begin + held.shape[1]
        if begin <= rows.start and rows.stop <= end:
            return held[:, rows.start - begin : rows.stop - begin]
        everything = slice(0, self.size[1])
        if begin <= rows.start < end:
            kept = held[:, rows.start - begin :]
            held = np.concatenate([kept, self._cut(slice(end, rows.stop), everything)], axis=1)
        else:
            self._rows = None
            held = self._cut(rows, everything)
        self._rows = (rows.start, held)
        return held

    def _resampled(self, rows: slice, columns: slice, shape: tuple[int, int]) -> NDArray[Any]:
        from rasterio.enums import Resampling

        return np.asarray(
            self._dataset.read(
                list(self.bands),
                window=_window(rows, columns),
                out_shape=(len(self.bands), *shape),
                resampling=Resampling.bilinear,
            )
        )


def _window(rows: slice, columns: slice) -> Any:
    from rasterio.windows import Window

    return Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)


def _as_address(path: Path) -> str:
    """What GDAL is told; a path has lost the second slash of an address."""
    text = str(path)
    for scheme in ("http:/", "https:/", "s3:/", "gs:/", "az:/", "ftp:/"):
        text = text.replace(f"{scheme}", f"{scheme}/") if scheme in text and f"{scheme}/" not in text else text
    return text


def _require_file(path: Path, *, remote: bool) -> None:
    if str(path).startswith(_REMOTE):
        if not remote:
            raise InputError(f"{path} is not on this machine: --remote lets GDAL read from others")
        return
    if not path.is_file():
        raise InputError(f"cannot read {path}: no such file")
    if path.suffix.lower() == SUFFIX and not remote:
        require_local(path)


def _require_one_system(path: Path, data: Any) -> None:
    """Refuse a plain VRT whose parts are of another coordinate reference system: GDAL lays them down as they are."""
    if b"VRTWarpedDataset" in path.read_bytes():
        return
    for name in dict.fromkeys(sources_of(path)):
        with open_dataset(name) as part:
            if part.crs and data.crs and part.crs != data.crs:
                raise InputError(
                    f"{path} is in {_name(data.crs)}, and {name}, which it names, in {_name(part.crs)}: bring them to "
                    "one system first (gdalwarp)"
                )


def _name(crs: Any) -> str:
    return f"EPSG:{code}" if (code := crs.to_epsg()) else str(crs.to_wkt())[:60]


def _is_turned(path: Path, data: Any) -> bool:
    """Whether a picture says that it is to be shown turned or mirrored."""
    if data.driver == "GTiff" and path.is_file() and data.transform.is_identity:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return next(pages(content), {}).get(_ORIENTATION, 1) != 1
    return str(data.tags().get("EXIF_Orientation", "1")) != "1"


def _is_interlaced(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_PNG_INTERLACE + 1)[-1:] == b"\1"


def _require_moderate(path: Path, data: Any) -> None:
    """Nothing that a file says of itself fills the memory."""
    if _is_turned(path, data):
        raise InputError(f"{path} is stored turned or mirrored, as its EXIF data say: save it upright")
    if data.driver == "PNG" and data.width * data.height > MAX_PIXELS and _is_interlaced(path):
        raise InputError(f"{path} is an interlaced PNG, which cannot be read piece by piece: save it without that")
    if data.count == 0 or data.count > _MOST_BANDS:
        raise InputError(f"{path} has {data.count} bands: expected 1 to {_MOST_BANDS}")
    for dtype, (height, width) in zip(data.dtypes, data.block_shapes, strict=True):
        if dtype not in _KINDS:
            raise InputError(f"{path} holds {dtype} numbers: whole numbers and float are provided")
        if height * width * np.dtype(dtype).itemsize * data.count > _MOST_BLOCK:
            raise InputError(
                f"{path} is stored in blocks of {height}x{width} pixels, which cannot be read piece by piece: "
                "write it again in tiles (gdal_translate -co TILED=YES)"
            )
