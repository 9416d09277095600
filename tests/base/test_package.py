"""A package made elsewhere runs where torch is not installed: set $SEGSHIP_PACKAGE to one of the bundled network."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.vision.image_files import find_images

PACKAGE = os.environ.get("SEGSHIP_PACKAGE", "")
DEMO = Path(segship.__file__).parent / "assets" / "demo"

pytestmark = pytest.mark.skipif(not PACKAGE, reason="no package was made for it: make check-base")


def test_torch_is_not_here() -> None:
    assert importlib.util.find_spec("torch") is None


def test_masks_of_the_bundled_scenes_are_as_accurate_as_where_the_package_was_made(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    words = ["evaluate", PACKAGE, "--images", DEMO / "images", "--labels", DEMO / "labels", "--json", figures]
    subprocess.run([sys.executable, "-m", "segship", *map(str, words)], check=True)
    assert json.loads(figures.read_text())["mIoU"] == pytest.approx(87.88, abs=0.02)  # docs/demo.md


def test_a_mask_has_the_size_of_its_image() -> None:
    image = np.zeros((97, 131, 3), np.uint8)
    with segship.Segmentor(PACKAGE) as segmentor:
        assert segmentor(image, channel_order="bgr").shape == (97, 131)
        assert len(segmentor.batch(find_images([DEMO / "images"])[:2])) == 2
