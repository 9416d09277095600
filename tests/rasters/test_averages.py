"""Test-time augmentation and several packages on rasters: the same mean as of an image in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segship
from scene_parts import write_network, write_raster
from segship import InputError, Segmentor
from segship.runtime import scene_mean, scene_run
from segship.vision import mosaic

rasterio = pytest.importorskip("rasterio")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small rasters have many blocks, cut into strips, and their logits do not fit into memory."""
    monkeypatch.setattr(mosaic, "_WHOLE", 100 * 100)
    monkeypatch.setattr(mosaic, "_SIDE", 48)
    monkeypatch.setattr(scene_run, "_MEMORY", 5 * 64 * 64 * 4 * 8)
    monkeypatch.setattr(scene_mean, "_PART", 48 * 20 * 5)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another network on the same bands, with windows of its own."""
    folder = tmp_path_factory.mktemp("other")
    network = write_network(folder, slide={"crop": [72, 56], "stride": [50, 30]}, seed=5)
    return segship.export(network, folder / "package").path


def picture(path: Path) -> np.ndarray:
    with rasterio.open(path) as data:
        return np.ascontiguousarray(np.moveaxis(data.read(), 0, 2))


@pytest.mark.parametrize("how", [{}, {"tiled": False}], ids=str)
@pytest.mark.parametrize("tta", ["flip", "vflip", "d4"])
def test_views_of_a_raster_are_those_of_an_image(sliding: Segmentor, tmp_path: Path, tta: str, how: Any) -> None:
    path = write_raster(tmp_path / "s.tif", (201, 130), **how)
    with Segmentor(sliding._path, tta=tta) as segmentor, segmentor.scene(path) as scene:
        mask, scores = segmentor.mask_and_scores(picture(path))
        found = np.empty_like(scores)
        for block in scene.blocks(scores=True):
            assert block.scores is not None
            found[:, block.rows, block.columns] = block.scores
        assert np.abs(found - scores).max() < 1e-6
        assert np.array_equal(np.asarray(scene), mask)
        assert not np.array_equal(mask, sliding(picture(path)))
        assert scene.windows == {"d4": 8}.get(tta, 2) * len(scene.plan.windows)


def test_several_packages_and_views_at_once(sliding: Segmentor, other: Path, tmp_path: Path) -> None:
    empty = slice(10, 60), slice(20, 90)
    path = write_raster(tmp_path / "s.tif", (150, 120), nodata=0, empty=empty)
    with Segmentor([sliding._path, other], tta="d4") as segmentor:
        (mask,) = segship.predict(segmentor, path, tmp_path / "out")
        expected = segmentor(picture(path))
        expected[empty] = 255
        assert np.array_equal(picture(mask)[:, :, 0], expected)
        labels = tmp_path / "labels.tif"
        labels.write_bytes(mask.read_bytes())
        found = segship.evaluate(segmentor, [(path, labels)])
    assert "the mean of 16 views of 2 packages" in (tmp_path / "out" / "index.jsonl").read_text()
    assert found.matrix.sum() == np.diag(found.matrix).sum() == (expected != 255).sum()


def test_scales_are_of_the_whole_or_of_each_window(photographs: Segmentor, sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (120, 100), bands=3)
    with Segmentor(photographs._path, tta="flip,scales=0.5,1.0,1.5") as segmentor:
        assert np.array_equal(np.asarray(segmentor.scene(path)), segmentor(picture(path)))
        with segmentor.scene(path, window=64, overlap=16) as scene:
            assert scene.plan.windows.window == (64, 64)
            assert (np.asarray(scene) == segmentor(picture(path))).mean() > 0.8
    with Segmentor(sliding._path, tta="scales=0.5,1.0") as segmentor:
        with pytest.raises(InputError, match=r"resizes a raster of 201x130 to 101x65.*--window"):
            segmentor.scene(write_raster(tmp_path / "four.tif", (201, 130)))
        assert segmentor.scene(tmp_path / "four.tif", window=64).windows > 2


def test_a_damaged_raster_is_refused_for_views_too(sliding: Segmentor, tmp_path: Path) -> None:
    path = write_raster(tmp_path / "s.tif", (301, 222))
    path.write_bytes(path.read_bytes()[:-90_000])
    with Segmentor(sliding._path, tta="d4") as segmentor, pytest.raises(InputError, match="cut off or damaged"):
        segship.predict(segmentor, path, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*s.tif"))
