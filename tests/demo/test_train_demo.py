from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segship

DEMO = Path(__file__).resolve().parents[2] / "demo"


@pytest.fixture(scope="module")
def training() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMO))  # as when the file is run as a script: its siblings lie beside it
        return importlib.import_module("train_demo")


@pytest.fixture(scope="module")
def held_out(training: Any) -> list[Any]:
    scenes = []
    for labels in sorted((training.HERE / "labels").iterdir()):
        image = Image.open(training.HERE / "images" / f"{labels.stem}.jpg")
        scenes.append(training.Scene(np.asarray(image), np.asarray(Image.open(labels))))
    return scenes


def test_the_shipped_scenes_are_the_drawn_ones(training: Any, held_out: list[Any]) -> None:
    drawn = training.draw_scene(3)
    assert (held_out[3].label == drawn.label).mean() > 0.999  # another processor may round a border differently
    assert np.abs(held_out[3].image.astype(int) - drawn.image).mean() < 4  # JPEG


def test_sixteen_scenes_are_shipped_and_one_has_an_odd_size(training: Any, held_out: list[Any]) -> None:
    assert len(held_out) == len(training.HELD_OUT) == 16
    sizes = {scene.label.shape for scene in held_out}
    assert sizes == {(256, 512), training.ODD}
    assert training.ODD[0] % 2 == training.ODD[1] % 2 == 1
    assert all(scene.image.shape == (*scene.label.shape, 3) for scene in held_out)


def test_no_held_out_scene_is_trained_on(training: Any) -> None:
    assert not set(training.HELD_OUT) & set(training.TRAINING)


def test_the_labels_carry_the_palette(training: Any) -> None:
    with Image.open(training.HERE / "labels" / "scene_00.png") as labels:
        assert labels.mode == "P"
        colors = np.array(labels.getpalette()).reshape(-1, 3)
    assert np.array_equal(colors[: len(training.PALETTE)], training.PALETTE)


def test_the_checkpoint_is_small_and_holds_nothing_but_data(training: Any) -> None:
    path = training.HERE / "fast_scnn_scenes.pth"
    assert path.stat().st_size < 2.5e6
    content = torch.load(path, weights_only=True)
    assert content["meta"]["dataset_meta"]["classes"] == training.CLASSES
    assert set(content["state_dict"]) == set(segship.load_network(training.CONFIG, with_auxiliary=True).state_dict())


def test_the_network_finds_the_held_out_classes(training: Any, held_out: list[Any]) -> None:
    network = segship.load_network(training.CONFIG, training.HERE / "fast_scnn_scenes.pth")
    assert training.measure(network, held_out).mean() > 85


def test_two_steps_of_training_change_every_part_and_end_in_evaluation_mode(training: Any) -> None:
    torch.manual_seed(0)
    network = segship.load_network(training.CONFIG, with_auxiliary=True).requires_grad_(requires_grad=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    training.train(network, [training.draw_scene(5)], steps=2, batch=2, seed=0)
    assert not network.training
    same = [name for name, value in network.state_dict().items() if torch.equal(value, before[name])]
    assert not same


def test_parts_have_the_networks_scale_and_labels_of_the_scene(training: Any) -> None:
    scene = training.draw_scene(5)
    inputs, labels = training.augment(np.random.default_rng(0), scene)
    assert (inputs.shape, inputs.dtype) == ((256, 512, 3), np.float32)
    assert (labels.shape, labels.dtype) == ((128, 256), np.uint8)
    assert set(np.unique(labels)) <= set(np.unique(scene.label))


def test_untouched_light_is_plain_normalisation(training: Any) -> None:
    table = training.light_table()
    expected = (np.array([0, 100, 255])[:, None] - np.array([123.675, 116.28, 103.53])) / [58.395, 57.12, 57.375]
    np.testing.assert_allclose(table[0, [0, 100, 255]], expected, rtol=1e-6)


def test_the_overlap_loss_is_zero_where_all_is_right_and_a_formula_where_half_is(training: Any) -> None:
    labels = torch.tensor([[[0, 0, 1, 1]]])
    sure = torch.nn.functional.one_hot(labels, 7).permute(0, 3, 1, 2).float() * 100
    assert training.overlap_loss(sure, labels).item() == pytest.approx(0, abs=1e-6)
    wrong = labels.clone()
    wrong[0, 0, 1] = 1  # class 0: IoU 1/2, class 1: IoU 2/3
    logits = torch.nn.functional.one_hot(wrong, 7).permute(0, 3, 1, 2).float() * 100
    assert training.overlap_loss(logits, labels).item() == pytest.approx(1 - (1 / 2 + 2 / 3) / 2, abs=1e-6)
