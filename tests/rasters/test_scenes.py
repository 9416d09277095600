"""Rasters by windows: the labels of the same network in memory, with georeference, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import segship
from scene_parts import CLASSES, UTM, write_network, write_raster
from segship import InputError, Segmentor
from segship.core.errors import SizeError, UnsupportedError
from segship.runtime import scene_run
from segship.runtime.predict import predict_files
from segship.runtime.result_form import ResultForm
from segship.runtime.scene_files import SceneForm
from segship.runtime.scene_plan import SceneOptions
from segship.vision import mosaic

rasterio = pytest.importorskip("rasterio")
from_origin = rasterio.transform.from_origin


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small rasters have many blocks and their logits do not fit into memory."""
    monkeypatch.setattr(mosaic, "_WHOLE", 100 * 100)
    monkeypatch.setattr(mosaic, "_SIDE", 48)
    monkeypatch.setattr(scene_run, "_MEMORY", 5 * 64 * 64 * 4)


def read(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = rasterio.open(path)
    with data:
        found: np.ndarray = data.read()
        return found


def in_memory(segmentor: Segmentor, path: Path) -> np.ndarray:
    return segmentor(np.ascontiguousarray(np.moveaxis(read(path), 0, 2)))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"tiled": False},  # read by bands of rows
        {"dtype": "uint16"},
        {"dtype": "int16"},
        {"interleave": "band"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(301, 222), (64, 300), (50, 40)], ids=str)
def test_labels_are_those_in_memory(sliding: Segmentor, tmp_path: Path, how: dict[str, Any], size: Any) -> None:
    path = write_raster(tmp_path / "s.tif", size, **how)
    with sliding.scene(path) as scene:
        found = np.asarray(scene)
    assert np.array_equal(found, in_memory(sliding, path))


def test_a_padded_network_pads_the_raster_and_not_its_windows(tmp_path: Path) -> None:
    network = write_network(tmp_path / "n", slide={"crop": [64, 64], "stride": [40, 40]}, sizes={"multiple_of": 32})
    with Segmentor(segship.export(network, tmp_path / "package")) as segmentor:
        path = write_raster(tmp_path / "s.tif", (201, 130))
        assert np.array_equal(np.asarray(segmentor.scene(path)), in_memory(segmentor, path))


def test_a_cog_has_georeference_colours_names_and_nodata(sliding: Segmentor, tmp_path: Path) -> None:
    empty = slice(10, 120), slice(20, 130)
    path = write_raster(tmp_path / "s.tif", (180, 150), nodata=0, empty=empty)
    (mask,) = segship.predict(sliding, path, tmp_path / "out", scores=True)
    assert mask == tmp_path / "out" / "s.tif"
    expected = in_memory(sliding, path)
    expected[empty] = 255
    with rasterio.open(mask) as made, rasterio.open(path) as given:
        assert (made.crs, made.transform, made.nodata, made.dtypes) == (given.crs, given.transform, 255, ("uint8",))
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert [made.colormap(1)[label][:3] for label in range(5)] == list(sliding.spec.palette)
        assert json.loads(made.tags()["CLASS_NAMES"]) == list(CLASSES)
        assert np.array_equal(made.read(1), expected)
    assert all(f"<Category>{name}</Category>" in Path(f"{mask}.aux.xml").read_text() for name in CLASSES)
    style = ET.parse(tmp_path / "out" / "s.qml").getroot()
    entries = [(one.get("value"), one.get("label"), one.get("color")) for one in style.iter("paletteEntry")]
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in sliding.spec.palette]
    assert entries == [(str(label), *one) for label, one in enumerate(zip(CLASSES, colours, strict=True))]
    assert [one.get("value") for one in style.iter("category")] == list(CLASSES)
    (tmp_path / "out" / "s.qml").write_text("mine")
    entry = json.loads((tmp_path / "out" / "index.jsonl").read_text())
    assert entry["nodata_pixels"] == (expected == 255).sum()
    assert sum(entry["classes"].values()) == (expected != 255).sum()
    scores = read(tmp_path / "out" / "s_scores.tif")
    whole = sliding.scores(np.ascontiguousarray(np.moveaxis(read(path), 0, 2)))
    assert np.abs(scores - whole)[:, expected != 255].max() < 1e-3
    assert not scores[:, expected == 255].any()
    segship.predict(sliding, path, tmp_path / "out")
    assert (tmp_path / "out" / "s.qml").read_text() == "mine"


def test_numbers_that_are_none_are_nodata(tmp_path: Path) -> None:
    network = write_network(tmp_path / "n", slide={"crop": [64, 64], "stride": [41, 41]})
    path = write_raster(
        tmp_path / "s.tif", (100, 110), dtype="float32", nodata=float("nan"), empty=(slice(0, 30), slice(0, 110))
    )
    with Segmentor(segship.export(network, tmp_path / "package")) as segmentor:
        found = np.asarray(segmentor.scene(path))
    assert (found[:30] == 255).all()
    assert (found[30:] < len(CLASSES)).all()


@pytest.mark.parametrize("blend", ["mean", "hann", "center"])
def test_windows_of_ones_own_see_each_window_as_an_image(sliding: Segmentor, tmp_path: Path, blend: Any) -> None:
    """Against full-resolution sums, as anybody would write them."""
    path = write_raster(tmp_path / "s.tif", (150, 130))
    image = np.moveaxis(read(path), 0, 2)
    tops, lefts, total = (0, 60, 70), (0, 50), np.zeros((5, 150, 130))
    axis = np.sin(np.pi * (np.arange(80) + 0.5) / 80) ** 2
    for top in tops:
        for left in lefts:
            window = np.ascontiguousarray(image[top : top + 80, left : left + 80])
            logits = logits_of(sliding, window)
            weight = np.outer(axis, axis) if blend == "hann" else np.ones((80, 80))
            if blend == "center":
                rows, columns = np.arange(top, top + 80), np.arange(left, left + 80)
                near = [
                    np.abs(places[:, None] - (np.array(starts) + 39.5)).argmin(1)
                    for places, starts in ((rows, tops), (columns, lefts))
                ]
                weight = np.outer(near[0] == tops.index(top), near[1] == lefts.index(left))
            total[:, top : top + 80, left : left + 80] += logits * weight
    with sliding.scene(path, window=80, overlap=20, blend=blend) as scene:
        assert (scene.plan.windows.tops, scene.plan.windows.lefts) == (tops, lefts)
        assert (np.asarray(scene) == total.argmax(0)).mean() > 0.9999


def logits_of(segmentor: Segmentor, window: np.ndarray) -> np.ndarray:
    import cv2

    tensor = (np.moveaxis(window, 2, 0)[None].astype(np.float32) - 120) / 60
    cells = segmentor._pipeline.run(tensor)[0]
    return np.stack([cv2.resize(one, window.shape[1::-1], interpolation=cv2.INTER_LINEAR) for one in cells])


def test_photographs_take_what_decoders_take(photographs: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (90, 80), bands=3, photometric="RGB")
    with photographs.scene(path) as scene:
        assert scene.windows == 1
        assert np.array_equal(np.asarray(scene), photographs(path))
    grey = write_raster(tmp_path / "g.tif", (90, 80), bands=1)
    assert np.array_equal(np.asarray(photographs.scene(grey)), photographs(grey))


def test_bands_are_counted_and_chosen(photographs: Segmentor, sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (90, 80))
    with pytest.raises(InputError, match=r"has 4 bands, this network takes 1 or 3: choose them with --bands"):
        photographs.scene(path)
    image = np.moveaxis(read(path), 0, 2)
    chosen = np.asarray(photographs.scene(path, bands=(3, 1, 2)))
    assert np.array_equal(chosen, photographs(np.ascontiguousarray(image[:, :, [2, 0, 1]])))
    with pytest.raises(InputError, match=r"has 2 bands, this network takes 4$"):
        sliding.scene(write_raster(tmp_path / "two.tif", (90, 80), bands=2))
    with pytest.raises(InputError, match="band 7 is asked for"):
        sliding.scene(path, bands=(1, 2, 3, 7))
    with pytest.raises(InputError, match="float32 numbers, this network takes photographs"):
        photographs.scene(write_raster(tmp_path / "f.tif", (90, 80), bands=3, dtype="float32"))


def test_a_resize_rule_is_honoured_or_refused(tmp_path: Path) -> None:
    rule = {"geometry": [{"kind": "resize", "height": 64, "width": 64}]}
    network = write_network(tmp_path / "n", slide={"crop": [64, 64], "stride": [41, 41]}, **rule)
    path = write_raster(tmp_path / "s.tif", (128, 192))
    with Segmentor(segship.export(network, tmp_path / "package")) as segmentor:
        with pytest.raises(InputError, match="makes 64x64 of a raster of 128x192"):
            segmentor.scene(path)
        assert segmentor.scene(path, scale=1).plan.seen == (128, 192)
        half = segmentor.scene(path, resolution=0.5)
        assert half.plan.seen == (64, 96)
        assert np.asarray(half).shape == (128, 192)
        assert "each prepared as 64x64" in segmentor.scene(path, window=100).plan.words
    whole = write_network(tmp_path / "w", **rule)
    with Segmentor(segship.export(whole, tmp_path / "whole")) as segmentor:
        assert np.array_equal(np.asarray(segmentor.scene(path)), in_memory(segmentor, path))
        plain = write_raster(tmp_path / "plain.tif", (128, 192), crs=None)
        with pytest.raises(InputError, match="give --scale"):
            segmentor.scene(plain, resolution=0.5)


def test_options_that_mean_nothing_are_refused(sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (100, 100))
    for wrong, words in (
        ({"scale": 0}, "above zero"),
        ({"scale": 2, "resolution": 2}, "say the same"),
        ({"blend": "median"}, "mean, hann or center"),
        ({"window": 0}, "above zero"),
        ({"window": 64, "overlap": 64}, "leaves nothing"),
        ({"overlap": -1}, "0 or more"),
    ):
        with pytest.raises(InputError, match=words):
            sliding.scene(path, **wrong)  # type: ignore[arg-type]


def test_an_engine_of_labels_puts_windows_side_by_side(tmp_path: Path) -> None:
    network = write_network(tmp_path / "n", bands=3, pixels="uint8")
    package = segship.export(network, tmp_path / "package", embed="post")
    path = write_raster(tmp_path / "s.tif", (150, 130), bands=3)
    with Segmentor(package) as segmentor:
        with pytest.raises(UnsupportedError, match="--blend center"):
            segmentor.scene(path, blend="mean")
        with segmentor.scene(path, window=100, overlap=20) as scene:
            assert scene.plan.blend == "center"
            found = np.asarray(scene)
        corner = segmentor(np.ascontiguousarray(np.moveaxis(read(path), 0, 2)[:100, :100]))
        assert np.array_equal(found[:60, :50], corner[:60, :50])


def test_fixed_sizes_are_windows(tmp_path: Path) -> None:
    network = write_network(tmp_path / "n", sizes={"fixed": [64, 64]})
    path = write_raster(tmp_path / "s.tif", (150, 130))
    with Segmentor(segship.export(network, tmp_path / "package", target="onnxruntime_static-64x64")) as segmentor:
        assert segmentor.scene(path).plan.windows.window == (64, 64)
        assert "each prepared as 64x64" in segmentor.scene(path, window=100).plan.words
        with pytest.raises(SizeError, match="another --window"):
            segmentor.scene(path, window=100, scale=1)


def test_broken_rasters_are_one_line_and_leave_nothing(sliding: Segmentor, tmp_path: Path) -> None:
    good = write_raster(tmp_path / "good.tif", (300, 300))
    cut = tmp_path / "cut.tif"
    cut.write_bytes(good.read_bytes()[:-60_000])
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.vrt").write_text("<VRTDataset><oh")
    broken = [cut, tmp_path / "empty.tif", tmp_path / "text.vrt"]
    found = predict_files(sliding, [good, *broken], tmp_path / "out", ResultForm(overlay=False))
    assert list(found.failed) == broken
    assert all(str(path) in line and "\n" not in line for path, line in found.failed.items())
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["good.qml", "good.tif", "good.tif.aux.xml", "index.jsonl"]


def vrt(path: Path, source: str, *, relative: int = 0) -> Path:
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="{relative}">'
        f"{source}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3, 4)
    )
    path.write_text(f'<VRTDataset rasterXSize="120" rasterYSize="110">{bands}</VRTDataset>')
    return path


def test_a_list_of_rasters_is_read_and_kept_at_home(sliding: Segmentor, tmp_path: Path) -> None:
    good = write_raster(tmp_path / "good.tif", (110, 120))
    listed = vrt(tmp_path / "list.vrt", "good.tif", relative=1)
    assert np.array_equal(np.asarray(sliding.scene(listed)), in_memory(sliding, good))
    for source in ("/vsicurl/http://127.0.0.1:9/x.tif", "/vsizip/x.zip/x.tif", "http://127.0.0.1:9/x.tif"):
        with pytest.raises(InputError, match="--remote"):
            sliding.scene(vrt(tmp_path / "away.vrt", source))
    with pytest.raises(InputError, match="not there"):
        sliding.scene(vrt(tmp_path / "gone.vrt", str(tmp_path / "gone.tif")))
    with pytest.raises(InputError, match="lists in lists"):
        sliding.scene(vrt(tmp_path / "self.vrt", "self.vrt", relative=1))
    (tmp_path / "bomb.vrt").write_text('<!DOCTYPE a [<!ENTITY b "c">]><VRTDataset/>')
    with pytest.raises(InputError, match="entities"):
        sliding.scene(tmp_path / "bomb.vrt")
    with pytest.raises(InputError, match="not on this machine"):
        sliding.scene("/vsicurl/http://127.0.0.1:9/x.tif")


def test_a_list_of_two_systems_is_refused_and_files_keep_their_own(sliding: Segmentor, tmp_path: Path) -> None:
    first, second = (write_raster(tmp_path / f"{zone}.tif", (70, 80), crs=f"EPSG:{zone}") for zone in (32632, 32633))
    listed = vrt(tmp_path / "list.vrt", str(second))
    listed.write_text(listed.read_text().replace("<VRTRasterBand", "<SRS>EPSG:32632</SRS><VRTRasterBand", 1))
    with pytest.raises(InputError, match=r"in EPSG:32632, and .*32633.tif, which it names, in EPSG:32633"):
        sliding.scene(listed)
    for made, given in zip(segship.predict(sliding, [first, second], tmp_path / "out"), (first, second), strict=True):
        with rasterio.open(made) as mask, rasterio.open(given) as raster:
            assert mask.crs == raster.crs


def test_pictures_that_cannot_be_read_by_windows_are_refused(
    photographs: Segmentor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import PIL.Image

    from segship.rasters import source

    monkeypatch.setattr(source, "MAX_PIXELS", 1000)
    picture = PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8))
    turned = PIL.Image.Exif()
    turned[274] = 6
    for name in ("t.jpg", "t.tif"):
        picture.save(tmp_path / name, exif=turned)
        with pytest.raises(InputError, match="stored turned or mirrored"):
            photographs.scene(tmp_path / name)
    picture.save(tmp_path / "plain.png")
    assert np.array_equal(np.asarray(photographs.scene(tmp_path / "plain.png")), photographs(tmp_path / "plain.png"))
    content = bytearray((tmp_path / "plain.png").read_bytes())
    content[28] = 1
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "laced.png").write_bytes(content)
    with pytest.raises(InputError, match="interlaced PNG"):
        photographs.scene(tmp_path / "laced.png")


def test_results_that_no_disk_holds_are_refused(sliding: Segmentor, tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 600_000, "height": 600_000, "count": 4, "dtype": "uint8"}
    with rasterio.open(
        tmp_path / "s.tif", "w", **profile, tiled=True, SPARSE_OK=True, BIGTIFF="YES", transform=from_origin(9, 9, 1, 1)
    ):
        pass
    with pytest.raises(InputError, match="GB are free"):
        predict_files(sliding, [tmp_path / "s.tif"], tmp_path / "out", ResultForm())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.jsonl"]


def test_confidence_is_of_the_scores(sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (100, 90))
    scores = sliding.scores(np.ascontiguousarray(np.moveaxis(read(path), 0, 2)))
    ordered = np.sort(scores, axis=0)
    entropy = 1 + (scores * np.log(scores)).sum(axis=0) / np.log(5)
    wanted = {"probability": ordered[-1], "margin": ordered[-1] - ordered[-2], "entropy": entropy}
    for kind, values in wanted.items():
        sliding.scene(path, to=tmp_path / kind, confidence=kind)
        found = read(tmp_path / kind / "s_confidence.tif")[0]
        assert np.abs(found / 255 - values).max() < 0.003


@pytest.mark.parametrize("form", ["geojson", "gpkg"])
@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", None], ids=str)
def test_polygons_cover_their_labels(sliding: Segmentor, tmp_path: Path, form: Any, crs: str | None) -> None:
    pyogrio = pytest.importorskip("pyogrio")
    path = write_raster(tmp_path / "s.tif", (120, 90), nodata=0, empty=(slice(0, 20), slice(0, 90)), crs=crs)
    if crs == "EPSG:4326":
        with rasterio.open(path, "r+") as data:
            data.crs, data.transform = crs, from_origin(13, 52, 1e-5, 1e-5)
    sliding.scene(path, to=tmp_path / "out", polygons=form)
    labels = read(tmp_path / "out" / "s.tif")[0]
    _, _, shapes, columns = pyogrio.raw.read(tmp_path / "out" / f"s.{form}")
    names = list(pyogrio.read_info(tmp_path / "out" / f"s.{form}")["fields"])
    fields = dict(zip(names, columns, strict=True))
    assert names == ["label", "class", "pixels"] + ["area_m2"] * (crs is not None)
    for label, name in enumerate(CLASSES):
        mine = fields["label"] == label
        assert fields["pixels"][mine].sum() == (labels == label).sum()
        assert set(fields["class"][mine]) <= {name}
    assert len(shapes) == len(fields["label"])
    if crs is not None:
        pixel = {UTM: 0.25**2, "EPSG:4326": 1.1132 * 1.1132 * np.cos(np.radians(52))}[crs]
        assert fields["area_m2"].sum() == pytest.approx((labels != 255).sum() * pixel, rel=0.01)


def test_simplified_polygons_have_fewer_corners(sliding: Segmentor, tmp_path: Path) -> None:
    pytest.importorskip("shapely")
    path = write_raster(tmp_path / "s.tif", (120, 90))
    for name, simplify in (("exact", None), ("simple", 2.0)):
        sliding.scene(path, to=tmp_path / name, polygons="geojson", simplify=simplify)
    sizes = [(tmp_path / name / "s.geojson").stat().st_size for name in ("exact", "simple")]
    assert sizes[1] < 0.7 * sizes[0]


def test_moving_the_windows_is_measured(sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (200, 180))
    for blend in ("mean", "center"):
        sliding.scene(path, to=tmp_path / blend, blend=blend)
        form = ResultForm(scene=SceneForm(SceneOptions(blend=blend)))
        (told,) = predict_files(sliding, [path], tmp_path / f"{blend}_cli", form).scenes.values()
        assert 0 < told["seams"]["changed"] < 0.3
    (one,) = predict_files(sliding, [write_raster(tmp_path / "o.tif", (60, 60))], tmp_path / "o", form).scenes.values()
    assert one["seams"] is None


SLOW = """
import sys, time, segship
from segship.runtime.scene_view import SceneView
from segship.vision import mosaic
mosaic._WHOLE, mosaic._SIDE = 100 * 100, 48
logits = SceneView.logits
SceneView.logits = lambda self, reader, pixels: (time.sleep(0.01), logits(self, reader, pixels))[1]
segship.predict(sys.argv[1], sys.argv[2], sys.argv[3], resume=True)
"""


def test_a_killed_run_goes_on_at_the_block(sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (500, 400))
    command = [sys.executable, "-c", SLOW, str(sliding._path), str(path), str(tmp_path / "out")]
    done = tmp_path / "out" / ".s.scene" / "done"
    run = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    deadline = time.monotonic() + 60
    while not (done.is_file() and done.stat().st_size > 50) and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    begun = done.stat().st_size
    assert not (tmp_path / "out" / "s.tif").exists()
    (again,) = predict_files(sliding, [path], tmp_path / "out", ResultForm(), resume=True).scenes.values()
    (whole,) = predict_files(sliding, [path], tmp_path / "whole", ResultForm()).scenes.values()
    assert begun > 50
    assert again["windows_run"] < whole["windows_run"] == 120
    for name in ("s.tif", "s.tif.aux.xml"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert predict_files(sliding, [path], tmp_path / "out", ResultForm(), resume=True).resumed == 1


def test_loading_the_runtime_loads_no_library_of_rasters() -> None:
    heavy = {"rasterio", "pyogrio", "shapely", "xml.etree.ElementTree"}
    code = f"import sys, segship.runtime.predict, segship.cli.predicting; print({heavy} & set(sys.modules))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "set()"
