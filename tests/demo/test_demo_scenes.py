from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DEMO = Path(__file__).resolve().parents[2] / "demo"
SIZE = (96, 192)


@pytest.fixture(scope="module")
def scenes() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMO))  # as when the file is run as a script: its siblings lie beside it
        return importlib.import_module("demo_scenes")


@pytest.fixture(scope="module")
def drawn(scenes: Any) -> list[Any]:
    return [scenes.draw_scene(seed, *SIZE) for seed in range(6)]


def test_the_same_seed_draws_the_same_picture(scenes: Any, drawn: list[Any]) -> None:
    again = scenes.draw_scene(3, *SIZE)
    assert np.array_equal(again.image, drawn[3].image)
    assert np.array_equal(again.label, drawn[3].label)


def test_another_seed_draws_another_picture(drawn: list[Any]) -> None:
    for one, other in itertools.pairwise(drawn):
        assert (one.label != other.label).mean() > 0.02


def test_pictures_are_rgb_and_labels_are_classes(scenes: Any, drawn: list[Any]) -> None:
    for scene in drawn:
        assert (scene.image.shape, scene.image.dtype) == ((*SIZE, 3), np.uint8)
        assert (scene.label.shape, scene.label.dtype) == (SIZE, np.uint8)
        assert scene.label.max() < len(scenes.CLASSES) == len(scenes.PALETTE)


def test_every_class_occurs(scenes: Any, drawn: list[Any]) -> None:
    counts = sum(np.bincount(scene.label.ravel(), minlength=len(scenes.CLASSES)) for scene in drawn)
    shares = dict(zip(scenes.CLASSES, counts / sum(counts), strict=True))
    assert min(shares.values()) > 0.002, shares


def test_sky_is_above_and_road_below(scenes: Any, drawn: list[Any]) -> None:
    sky, road = scenes.CLASSES.index("sky"), scenes.CLASSES.index("road")
    height = SIZE[0]
    for scene in drawn:
        assert not (scene.label[height * 3 // 4 :] == sky).any()
        assert not (scene.label[: height // 4] == road).any()


def test_pictures_reach_from_dark_to_light(drawn: list[Any]) -> None:
    for scene in drawn:
        low, high = np.quantile(scene.image, (0.02, 0.98))
        assert low < 90
        assert high > 140


def test_an_odd_size_is_drawn_at_that_size(scenes: Any) -> None:
    scene = scenes.draw_scene(1, 75, 131)
    assert scene.image.shape == (75, 131, 3)
    assert scene.label.shape == (75, 131)
