"""A small network, labelled pictures, a kit, and stand-ins for vendors' tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import segship
from segship.kits import Kit
from support.standins import run_script, target
from support.trained import write_trained


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> segship.Data:
    """Five pictures with label maps; none is like another."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number in range(5):
        coarse = random.integers(0, 256, (5, 7, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / f"a.{number}.png"), cv2.resize(coarse, (80, 48)))
        cv2.imwrite(str(folder / "labels" / f"a.{number}.png"), random.integers(0, 4, (48, 80), np.uint8))
    return segship.Data.folders(folder / "images", folder / "labels")


@pytest.fixture(scope="session")
def ascend_kit(trained: tuple[Path, Path], pictures: segship.Data, tmp_path_factory: pytest.TempPathFactory) -> Kit:
    out = tmp_path_factory.mktemp("kits") / "kit"
    return segship.export_kit(
        segship.Source(*trained), out, target("ascend_static-48x80", soc="Ascend310P3", batch="1,3"), data=pictures
    )


@pytest.fixture(scope="session")
def returned(ascend_kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit with engines and outputs, as the machine with the chip has it; copy before you change it."""
    folder = tmp_path_factory.mktemp("returned") / "kit"
    shutil.copytree(ascend_kit.folder, folder)
    for script in ("convert.sh", "run.sh"):
        done = run_script(folder / script)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder
