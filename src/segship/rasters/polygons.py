"""Regions of a label raster as polygons with their class and area: GeoPackage or GeoJSON."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from segship.core.errors import InputError, MissingExtraError
from segship.rasters.gdal import gdal_errors, open_dataset, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from segship.rasters.source import Georeference

__all__ = ["VectorFormat", "require_writer", "write_polygons"]

VectorFormat: TypeAlias = Literal["gpkg", "geojson"]
"""GeoPackage, in the raster's own coordinates; or GeoJSON, in longitude and latitude where these are known."""

_LON_LAT = "EPSG:4326"
_EQUAL_AREA = "EPSG:6933"  # of the whole world but the poles, metres


def require_writer(form: VectorFormat, *, simplify: bool) -> None:
    """Make sure that what is needed is installed, before there is a raster.

    Args:
        form: What will be written.
        simplify: Whether polygons will be simplified.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        if form == "gpkg":
            import pyogrio  # noqa: F401
        if form == "gpkg" or simplify:
            import shapely  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Writing polygons", "geo", "pyogrio and shapely") from error


def write_polygons(
    raster: Path, to: Path, form: VectorFormat, *, ground: Georeference, classes: Sequence[str], simplify: float | None
) -> int:
    """Write the regions of equal labels, four neighbours to a pixel.

    Each has ``label``, ``class``, ``pixels``, and, where the raster has a system and a transform, ``area_m2``: of its
    pixels, before anything is simplified. Without one of the two (ground control points, too) coordinates are as they
    are, pixels where there is no transform. Memory grows with the number of regions.

    Args:
        raster: Labels, with a number for pixels without a value.
        to: The file.
        form: Which kind of file.
        ground: Where the raster lies.
        classes: Name of each label.
        simplify: Greatest distance, in the units of the raster's coordinates, that an outline may move; None: none.

    Returns:
        How many polygons there are.

    Raises:
        InputError: It cannot be written.
    """
    if ground.transform is None:
        ground = replace(ground, crs=None)
    with session(), gdal_errors(f"cannot write {to}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no georeference, as the raster has none
        regions = _regions(raster, ground, classes, simplify)
        return (_write_geojson if form == "geojson" else _write_gpkg)(regions, to, ground)


def _regions(
    raster: Path, ground: Georeference, classes: Sequence[str], simplify: float | None
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each polygon as GeoJSON has it, in the raster's coordinates, and what is known of it."""
    import rasterio
    from rasterio.features import shapes

    with open_dataset(str(raster)) as data:
        size = abs(data.transform.a * data.transform.e - data.transform.b * data.transform.d)
        area = _metres(data.crs)
        for shape, value in shapes(rasterio.band(data, 1), transform=data.transform):
            label = int(value)
            if label >= len(classes):  # no value
                continue
            plane = _plane_area(shape)
            facts = {"label": label, "class": classes[label], "pixels": round(plane / size)}
            if ground.crs is not None:
                facts["area_m2"] = round(area(shape, plane), 3)
            yield (_simplified(shape, simplify) if simplify else shape), facts


def _metres(crs: Any) -> Any:
    """A function from a polygon and its area in its own plane to square metres."""
    from rasterio.warp import transform_geom

    if crs is not None and crs.is_projected and crs.to_epsg() not in (3857, 3395):  # Mercator's areas grow polewards
        unit = crs.linear_units_factor[1]
        return lambda _, plane: plane * unit * unit
    return lambda shape, _: _plane_area(transform_geom(crs, _EQUAL_AREA, shape))


def _plane_area(shape: dict[str, Any]) -> float:
    """Of a polygon: its outline less its holes (Gauss's formula)."""
    areas = []
    for ring in shape["coordinates"]:
        x, y = np.asarray(ring, np.float64).T[:2]
        x, y = x - x[0], y - y[0]
        areas.append(abs(float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))) / 2)
    return areas[0] - sum(areas[1:])


def _simplified(shape: dict[str, Any], distance: float) -> dict[str, Any]:
    import shapely
    from shapely.geometry import mapping

    found: dict[str, Any] = mapping(shapely.simplify(shapely.geometry.shape(shape), distance, preserve_topology=True))
    return found


def _write_geojson(regions: Iterator[tuple[dict[str, Any], dict[str, Any]]], to: Path, ground: Georeference) -> int:
    from rasterio.warp import transform_geom

    count = 0
    with _arriving(to) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for shape, facts in regions:
            placed = transform_geom(ground.crs, _LON_LAT, shape, precision=8) if ground.crs else shape
            feature = {"type": "Feature", "properties": facts, "geometry": placed}
            file.write(f"{',' if count else ''}\n{json.dumps(feature, ensure_ascii=False)}")
            count += 1
        file.write("\n]}\n")
    return count


def _write_gpkg(regions: Iterator[tuple[dict[str, Any], dict[str, Any]]], to: Path, ground: Georeference) -> int:
    import pyogrio.raw
    import shapely
    from shapely.geometry import shape as as_shape

    shapes, facts = [], []
    for shape, fact in regions:
        shapes.append(shapely.to_wkb(as_shape(shape)))
        facts.append(fact)
    names = ["label", "class", "pixels", *(["area_m2"] if ground.crs else [])]
    kinds = {"label": np.int32, "class": object, "pixels": np.int64, "area_m2": np.float64}
    columns = [np.array([fact[name] for fact in facts], kinds[name]) for name in names]
    with _arriving(to) as temporary:
        pyogrio.raw.write(
            str(temporary),
            geometry=np.array(shapes, object),
            field_data=columns,
            fields=names,
            layer="regions",
            driver="GPKG",
            geometry_type="Polygon",
            crs=ground.crs,
        )
    return len(shapes)


@contextmanager
def _arriving(to: Path) -> Iterator[Path]:
    """A file beside ``to`` that takes its place once it is whole."""
    temporary = to.with_name(f".{to.name}.part{to.suffix}")
    temporary.unlink(missing_ok=True)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(to)
    except OSError as error:
        raise InputError(f"cannot write {to}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
