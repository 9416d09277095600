"""Figures of rasters by windows: those of the same labels in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segship
from scene_parts import CLASSES, write_raster
from segship import InputError, Segmentor, Source
from segship.metrics.confusion import confusion_matrix
from segship.runtime.scene_plan import SceneOptions
from segship.vision import mosaic
from segship.vision.decode import read_labels

rasterio = pytest.importorskip("rasterio")
SIZE = (301, 222)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "_WHOLE", 100 * 100)
    monkeypatch.setattr(mosaic, "_SIDE", 64)


def truth(count: int = len(CLASSES)) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, count, (31, 23), np.uint8)
    coarse[:2] = 255
    return np.kron(coarse, np.ones((10, 10), np.uint8))[: SIZE[0], : SIZE[1]]


def write_labels(path: Path, bands: np.ndarray, **georeference: Any) -> Path:
    bands = bands[None] if bands.ndim == 2 else np.moveaxis(bands, 2, 0)
    how = {"driver": "GTiff", "height": SIZE[0], "width": SIZE[1], "count": len(bands), "dtype": bands.dtype}
    with rasterio.open(path, "w", **how, **georeference) as data:
        data.write(bands)
    return path


def ground(path: Path) -> dict[str, Any]:
    with rasterio.open(path) as data:
        return {"crs": data.crs, "transform": data.transform}


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    image = write_raster(tmp_path / "s.tif", SIZE, nodata=0, empty=(slice(100, 160), slice(30, 90)))
    return image, write_labels(tmp_path / "labels.tif", truth(), **ground(image))


def expected(segmentor: Segmentor, image: Path, **seen: Any) -> np.ndarray:
    with segmentor.scene(image, **seen) as scene:
        mask = np.asarray(scene)
    labels = np.where(mask == 255, 255, truth())
    return confusion_matrix(np.where(mask == 255, 0, mask).astype(np.uint8), labels.astype(np.uint8), len(CLASSES))


def test_a_pair_is_counted_by_windows(sliding: Segmentor, pair: tuple[Path, Path], tmp_path: Path) -> None:
    matrix = expected(sliding, pair[0])
    assert np.array_equal(segship.evaluate(sliding, [pair]).matrix, matrix)
    coloured = np.zeros((*SIZE, 3), np.uint8)
    coloured[truth() < 255] = np.asarray(sliding.spec.palette, np.uint8)[truth()[truth() < 255]]
    colours = write_labels(tmp_path / "colours.tif", coloured, photometric="RGB", **ground(pair[0]))
    assert np.array_equal(segship.evaluate(sliding, [(pair[0], colours)]).matrix, matrix)
    cv2.imwrite(str(tmp_path / "labels.png"), truth())
    assert np.array_equal(segship.evaluate(sliding, [(pair[0], tmp_path / "labels.png")]).matrix, matrix)


def test_files_and_boundaries_are_of_the_same_labels(
    sliding: Segmentor, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    outputs = segship.evaluation.OutputFolders(predictions=tmp_path / "out")
    found = segship.evaluate(sliding, [pair], outputs=outputs, boundary=True, against=sliding)
    assert np.array_equal(found.matrix, expected(sliding, pair[0]))
    assert found.against is not None
    assert found.against.agreement == 100
    with sliding.scene(pair[0]) as scene:
        stored = read_labels(tmp_path / "out" / "s.png")
        assert (stored == 255).any()
        assert np.array_equal(stored, np.asarray(scene))


def test_windows_are_as_asked_for(sliding: Segmentor, pair: tuple[Path, Path]) -> None:
    options = SceneOptions(window=(80, 80), overlap=20, blend="center")
    found = segship.evaluate(sliding, [pair], scene=options)
    assert np.array_equal(found.matrix, expected(sliding, pair[0], window=80, overlap=20, blend="center"))
    assert not np.array_equal(found.matrix, expected(sliding, pair[0]))


def test_what_is_too_large_for_memory_is_counted(
    sliding: Segmentor, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segship.runtime import scene_files

    monkeypatch.setattr(scene_files, "MAX_PIXELS", 1000)
    plain = write_raster(tmp_path / "plain.tif", SIZE, crs=None)
    found = segship.evaluate(sliding, [(plain, pair[1])], max_pixels=1000)
    assert found.matrix.sum() == (truth() != 255).sum()
    outputs = segship.evaluation.OutputFolders(predictions=tmp_path / "out")
    with pytest.raises(InputError, match="leave out what needs the whole mask"):
        segship.evaluate(sliding, [(plain, pair[1])], max_pixels=1000, outputs=outputs)


def test_pairs_that_do_not_fit_are_left_out_and_named(
    sliding: Segmentor, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    where = ground(pair[0])
    moved = where | {"transform": where["transform"] * rasterio.Affine.translation(3, 0)}
    away = write_labels(tmp_path / "away.tif", truth(), **moved)
    other = write_labels(tmp_path / "other.tif", truth(), **(where | {"crs": "EPSG:32632"}))
    (tmp_path / "cut.tif").write_bytes(pair[1].read_bytes()[:-30_000])
    small = write_raster(tmp_path / "small.tif", (90, 80))
    pairs = [pair, (pair[0], away), (pair[0], other), (pair[0], tmp_path / "cut.tif"), (small, pair[1])]
    found = segship.evaluate(sliding, pairs)
    assert found.images == 1
    assert np.array_equal(found.matrix, expected(sliding, pair[0]))
    told = {problem.kind: problem.count for problem in found.problems}
    assert told == {"ground_mismatch": 2, "refused": 1, "size_mismatch": 1}
    assert all("\n" not in line for problem in found.problems for _, line in problem.examples)


def test_windows_are_for_packages(pair: tuple[Path, Path], tmp_path: Path) -> None:
    options = SceneOptions(window=(80, 80))
    with pytest.raises(InputError, match="by packages"):
        segship.evaluate(Source(tmp_path / "network.onnx"), [pair], scene=options)


def test_the_command_line_takes_windows(sliding: Segmentor, pair: tuple[Path, Path], tmp_path: Path) -> None:
    from segship.cli.app import app

    (tmp_path / "images").mkdir()
    (tmp_path / "gt").mkdir()
    pair[0].rename(tmp_path / "images" / "s_RGB.tif")
    pair[1].rename(tmp_path / "gt" / "s_label.tif")
    words = [sliding._path, "--images", tmp_path / "images", "--labels", tmp_path / "gt", "--image-suffix", "_RGB.tif"]
    words += ["--label-suffix", "_label.tif", "--window", "80", "--overlap", "20", "--confusion", tmp_path / "m.csv"]
    app(["evaluate", *map(str, words)], standalone_mode=False)
    rows = [line.split(",")[1:] for line in (tmp_path / "m.csv").read_text().splitlines()[1:]]
    found = np.array(rows, int)[: len(CLASSES), : len(CLASSES)]
    assert np.array_equal(found, expected(sliding, tmp_path / "images" / "s_RGB.tif", window=80, overlap=20))


def test_published_tiles_are_read_uncut_with_labels_of_colours(tmp_path: Path) -> None:
    from scene_parts import write_network
    from segship.datasets import find_layout

    layout = find_layout("potsdam")
    network = write_network(tmp_path / "n", bands=3, pixels="uint8", classes=list(layout.classes[:5]))
    (tmp_path / "2_Ortho_RGB").mkdir()
    image = write_raster(tmp_path / "2_Ortho_RGB" / "top_potsdam_2_13_RGB.tif", SIZE, bands=3, photometric="RGB")
    coloured = np.zeros((*SIZE, 3), np.uint8)
    coloured[truth() < 255] = np.asarray(layout.palette, np.uint8)[truth()[truth() < 255]]
    coloured[:5, :5] = (252, 255, 0)  # of lossy editing, as a few tiles hold
    (tmp_path / "5_Labels_all").mkdir()
    write_labels(tmp_path / "5_Labels_all" / "top_potsdam_2_13_label.tif", coloured, photometric="RGB", **ground(image))
    with Segmentor(segship.export(network, tmp_path / "package")) as segmentor:
        found = segship.evaluate(segmentor, segship.Data.layout("potsdam", tmp_path))
        mask = np.asarray(segmentor.scene(image))
    labels = truth()
    labels[:5, :5] = 255
    assert np.array_equal(found.matrix, confusion_matrix(mask, labels, 5))
