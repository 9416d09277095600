"""Small networks over small rasters."""

from __future__ import annotations

import pytest

import segship
from scene_parts import write_network

pytest.importorskip("rasterio")


@pytest.fixture(scope="session")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> segship.Segmentor:
    """Four bands as they are stored, windows of 64x64."""
    folder = tmp_path_factory.mktemp("sliding")
    network = write_network(folder, slide={"crop": [64, 64], "stride": [41, 41]})
    return segship.Segmentor(segship.export(network, folder / "package"))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> segship.Segmentor:
    """Red, green and blue, seen at once."""
    folder = tmp_path_factory.mktemp("photographs")
    network = write_network(folder, bands=3, pixels="uint8")
    return segship.Segmentor(segship.export(network, folder / "package"))
