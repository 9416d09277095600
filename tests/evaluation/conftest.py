"""A data set of four small images, a network made of a formula, and a small real package."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import segship
from segship.core.errors import SizeError
from segship.core.spec import ModelSpec
from segship.datasets.samples import Sample
from support.trained import write_trained

CLASSES = ("road", "wall", "tree")
PALETTE = ((128, 64, 128), (70, 70, 70), (0, 120, 0))
SPEC = ModelSpec(source="test", architecture="bands", classes=CLASSES, palette=PALETTE)


@dataclass
class Bands:
    """Labels an image by its red channel: 0-84, 85-169, 170-255; ``shift`` columns further than it is true."""

    shift: int = 0
    seen: list[tuple[int, ...]] = field(default_factory=list)
    spec: ModelSpec = SPEC

    def __call__(self, image: NDArray[np.uint8], /, *, channel_order: Any) -> NDArray[Any]:
        assert channel_order == "bgr"
        self.seen.append(image.shape)
        if image.shape[0] < 4:
            raise SizeError("too small")
        return np.roll(np.minimum(image[:, :, 2] // 85, 2), self.shift, axis=1)


def truth_of(number: int) -> NDArray[np.uint8]:
    cells = np.random.default_rng(number).integers(0, 3, (3, 4), np.uint8)
    return np.asarray(cv2.resize(cells, (40, 24), interpolation=cv2.INTER_NEAREST), np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for folder in ("images/x", "labels/x"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for number in range(4):
        truth = truth_of(number)
        image = np.repeat((truth * 85 + 40)[:, :, None], 3, axis=2)
        cv2.imwrite(str(tmp_path / f"data/images/x/{number}.png"), image)
        cv2.imwrite(str(tmp_path / f"data/labels/x/{number}.png"), truth)
    return tmp_path / "data"


@pytest.fixture
def samples(data: Path) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"x/{number}", data / f"images/x/{number}.png", data / f"labels/x/{number}.png") for number in range(4)
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def package(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segship.export(*trained, tmp_path_factory.mktemp("out") / "package").path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
