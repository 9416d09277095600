"""A small network's package, made once for the tests of the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

import segship
from support.trained import write_trained


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> segship.Package:
    folder = tmp_path_factory.mktemp("runtime")
    return segship.export(*write_trained(folder), folder / "package")


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2
    import numpy as np

    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    path = tmp_path_factory.mktemp("street") / "street.png"
    cv2.imwrite(str(path), cv2.resize(pixels, (131, 77), interpolation=cv2.INTER_CUBIC))
    return path
