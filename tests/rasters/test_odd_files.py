"""Rasters as people have them: without a system, turned, with holes, of one pixel, damaged. Right, or one line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segship
from scene_parts import UTM, write_raster
from segship import InputError
from segship.runtime.predict import predict_files
from segship.runtime.result_form import ResultForm
from segship.runtime.scene_files import is_scene

if TYPE_CHECKING:
    from segship import Segmentor

rasterio = pytest.importorskip("rasterio")
from rasterio import shutil  # noqa: E402
from rasterio.transform import Affine, from_origin  # noqa: E402

HERE = Affine.translation(400_000, 5_800_000)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with rasterio.open(write_raster(tmp_path_factory.mktemp("pixels") / "s.tif", (101, 93))) as data:
        return data.read()


def put(path: Path, pixels: Any, **how: Any) -> Path:
    count, height, width = pixels.shape
    how = {"crs": UTM, "transform": from_origin(400_000, 5_800_000, 0.25, 0.25), **how}
    how |= {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": pixels.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no transform, where there shall be none
        data = rasterio.open(path, "w", **how)
    with data:
        data.write(pixels)
    return path


def in_memory(segmentor: Segmentor, pixels: Any) -> Any:
    return segmentor(np.ascontiguousarray(np.moveaxis(pixels, 0, 2)))


@pytest.mark.parametrize(
    "how",
    [
        {"transform": HERE @ Affine.rotation(30) @ Affine.scale(0.25, -0.25)},
        {"transform": HERE @ Affine.scale(0.25, 0.25)},  # south is up
        {"crs": None},
        {"crs": None, "transform": HERE @ Affine.rotation(30) @ Affine.scale(0.25, -0.25)},
    ],
    ids=["turned", "south-up", "no system", "turned, no system"],
)
def test_a_mask_lies_where_its_scene_does(sliding: Segmentor, pixels: Any, how: Any, tmp_path: Path) -> None:
    path = put(tmp_path / "s.tif", pixels, **how)
    (mask,) = segship.predict(sliding, path, tmp_path / "out")
    assert mask.name == "s.tif"
    with rasterio.open(mask) as made, rasterio.open(path) as given:
        assert (made.crs, made.transform) == (given.crs, given.transform)
        assert np.array_equal(made.read(1), in_memory(sliding, pixels))


def test_polygons_of_a_scene_of_unknown_place_are_in_its_own_plane(
    sliding: Segmentor, pixels: Any, tmp_path: Path
) -> None:
    def corners(name: str, **how: Any) -> tuple[Any, set[str]]:
        sliding.scene(put(tmp_path / f"{name}.tif", pixels, **how), to=tmp_path / "out", polygons="geojson")
        found = json.loads((tmp_path / "out" / f"{name}.geojson").read_text())["features"]
        outlines = np.concatenate([one["geometry"]["coordinates"][0] for one in found])
        return outlines, set(found[0]["properties"])

    places = ((0, 0, 13.0, 52.0), (0, 93, 13.1, 52.0), (101, 0, 13.0, 51.9), (101, 93, 13.1, 51.9))
    points = [rasterio.control.GroundControlPoint(*place) for place in places]
    for name, how in (("points", {"gcps": points, "crs": "EPSG:4326"}), ("system", {})):
        outlines, facts = corners(name, **{"transform": None, **how})
        assert (outlines.min(0).tolist(), outlines.max(0).tolist()) == ([0, 0], [93, 101])
        assert facts == {"label", "class", "pixels"}
    outlines, facts = corners("plane", crs=None)
    assert (outlines.min(0).tolist(), outlines.max(0).tolist()) == ([400_000, 5_799_974.75], [400_023.25, 5_800_000])
    assert "area_m2" not in facts


@pytest.mark.parametrize("size", [(1, 1), (1, 93), (101, 1), (3, 5)], ids=str)
def test_a_scene_may_be_of_one_pixel(sliding: Segmentor, pixels: Any, size: Any, tmp_path: Path) -> None:
    some = np.ascontiguousarray(pixels[:, : size[0], : size[1]])
    (mask,) = segship.predict(sliding, put(tmp_path / "s.tif", some), tmp_path / "out", confidence="margin")
    with rasterio.open(mask) as made:
        assert np.array_equal(made.read(1), in_memory(sliding, some))


def test_pixels_without_a_finite_number_have_no_label(sliding: Segmentor, pixels: Any, tmp_path: Path) -> None:
    holes, filled = pixels.astype(np.float32), pixels.astype(np.float32)
    filled[:, 10:20, :30] = filled[0, 50, 50] = filled[1, 60, 60] = filled[2, 70, 70] = 120  # the mean of the bands
    holes[:, 10:20, :30] = holes[0, 50, 50] = np.nan
    holes[1, 60, 60], holes[2, 70, 70] = np.inf, -np.inf
    expected = in_memory(sliding, filled)
    expected[10:20, :30] = 255
    expected[[50, 60, 70], [50, 60, 70]] = 255
    for nodata in (None, np.nan):
        with sliding.scene(put(tmp_path / "s.tif", holes, nodata=nodata)) as scene:
            assert np.array_equal(np.asarray(scene), expected)
    with sliding.scene(put(tmp_path / "s.tif", np.full_like(holes, np.nan))) as scene:
        assert (np.asarray(scene) == 255).all()


def test_a_cog_that_is_cut_off_is_one_line_wherever(sliding: Segmentor, pixels: Any, tmp_path: Path) -> None:
    whole = tmp_path / "whole.tif"
    shutil.copy(str(put(tmp_path / "s.tif", pixels)), str(whole), driver="COG")
    content = whole.read_bytes()
    broken = [tmp_path / f"{name}.tif" for name in ("end", "half", "head", "magic", "nothing")]
    for path, length in zip(broken, (len(content) - 500, len(content) // 2, 700, 8, 0), strict=True):
        path.write_bytes(content[:length])
    found = predict_files(sliding, [whole, *broken], tmp_path / "out", ResultForm(overlay=False))
    assert list(found.failed) == broken
    assert all("\n" not in line and str(path) in line for path, line in found.failed.items())
    assert len(list((tmp_path / "out").iterdir())) == 4  # of the whole one, and the index


@pytest.mark.parametrize("form", ["npz", "coco"])
def test_labels_in_other_formats_stand_beside_the_raster(
    sliding: Segmentor, pixels: Any, form: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    put(folder / "placed.tif", pixels)
    plain = put(folder / "plain.tif", pixels[:, :50], crs=None, transform=None)
    masks = segship.predict(sliding, folder, tmp_path / "out", format=form, overlay=False)
    expected = in_memory(sliding, pixels)
    if form == "npz":
        with np.load(tmp_path / "out" / "placed.npz") as found:
            assert np.array_equal(found["labels"], expected)
    else:
        told = json.loads((tmp_path / "out" / "annotations.json").read_text())
        assert [one["file_name"] for one in told["images"]] == ["placed.tif", plain.name]
        areas = {one["category_id"]: one["area"] for one in told["annotations"] if one["image_id"] == 1}
        assert areas == {label + 1: (expected == label).sum() for label in np.unique(expected)}
    assert (tmp_path / "out" / "placed.tif") in masks
    again = predict_files(sliding, [folder], tmp_path / "out", ResultForm(format=form, overlay=False), resume=True)
    assert again.resumed == 2
    with pytest.raises(InputError, match=rf"9,393 pixels, of which {form} is made in memory up to 9,000"):
        predict_files(sliding, [folder / "placed.tif"], tmp_path / "no", ResultForm(format=form, max_pixels=9_000))


def test_numbers_that_no_network_takes_are_named(sliding: Segmentor, pixels: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds complex64 numbers: whole numbers and float are provided"):
        sliding.scene(put(tmp_path / "s.tif", pixels.astype(np.complex64)))


@pytest.mark.parametrize("how", [{}, {"GeoJP2": "NO"}, {"GMLJP2": "NO"}], ids=["both", "as GML", "as GeoTIFF"])
def test_jpeg_2000_that_says_where_it_lies_is_a_scene(
    photographs: Segmentor, pixels: Any, how: dict[str, str], tmp_path: Path
) -> None:
    plain = put(tmp_path / "s.tif", pixels[:3])
    placed, alone = tmp_path / "s.jp2", tmp_path / "alone.jp2"
    whole = {"driver": "JP2OpenJPEG", "REVERSIBLE": "YES", "QUALITY": "100"}
    shutil.copy(str(plain), str(placed), **whole, **how)
    shutil.copy(str(put(tmp_path / "p.tif", pixels[:3], crs=None, transform=None)), str(alone), **whole)
    (mask,) = segship.predict(photographs, placed, tmp_path / "out")
    with rasterio.open(mask) as made, rasterio.open(plain) as given:
        assert (made.crs.to_epsg(), made.transform) == (given.crs.to_epsg(), given.transform)
        assert np.array_equal(made.read(1), in_memory(photographs, pixels[:3]))
    assert is_scene(placed, 10**8)
    assert not is_scene(alone, 10**8)
    content = placed.read_bytes()
    for length in range(0, 2000, 7):
        (tmp_path / "cut.jp2").write_bytes(content[:length])
        is_scene(tmp_path / "cut.jp2", 10**8)  # and raises nothing
