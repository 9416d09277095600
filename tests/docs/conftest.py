"""A folder that holds what the guides and docstrings name: a network, its package, images and label maps."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import segship
from support.trained import write_trained


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    config, checkpoint = write_trained(folder)
    config.rename(folder / "config.py")
    checkpoint.rename(folder / "weights.pth")
    package = segship.export(folder / "config.py", folder / "weights.pth", folder / "package").path
    for name in ("package-a", "package-b"):
        shutil.copytree(package, folder / name)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    image = cv2.resize(pixels, (131, 77), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(folder / "street.jpg"), image)
    segmentor = segship.Segmentor(package, channel_order="bgr")
    for name, picture in (("a", image), ("b", image[::-1])):
        for below in ("images", "labels"):
            (folder / below).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), picture)
        cv2.imwrite(str(folder / "labels" / f"{name}.png"), segmentor(np.ascontiguousarray(picture)))
    published = Path("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py")
    _copy_published(published, folder)
    return folder


def _copy_published(name: Path, folder: Path) -> None:
    """A config that the guides name, with its bases, from MMSegmentation's own wheel, where it is installed."""
    import importlib.util

    found = importlib.util.find_spec("mmseg")
    if found is None or not found.submodule_search_locations:
        return
    configs = Path(found.submodule_search_locations[0]) / ".mim" / "configs"
    from segship.tools.config import resolve

    text = resolve(configs / "pspnet" / name).text()
    (folder / name).write_text(text)
