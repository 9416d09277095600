"""A small network, its package and an image, made once for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from support.commands import segship
from support.trained import write_trained


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def package(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "package"
    done = segship("export", *trained, out)
    assert done.returncode == 0, done.stderr
    assert "verified on drawn scenes; --images FOLDER for yours" in done.stdout
    return out


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("street")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    cv2.imwrite(str(folder / "street.png"), cv2.resize(pixels, (131, 77), interpolation=cv2.INTER_CUBIC))
    return folder
