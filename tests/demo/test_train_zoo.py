"""The training of the zoo's light networks, a few steps of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import segship

DEMO = Path(__file__).resolve().parents[2] / "demo"


@pytest.fixture(scope="module")
def zoo(mmseg_configs: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DEMO))
        patch.setenv("SEGSHIP_MMSEG_CONFIGS", str(mmseg_configs))
        yield importlib.import_module("train_zoo")


@pytest.fixture(scope="module")
def scenes(zoo: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return zoo.draw(tmp_path_factory.mktemp("drawn"), 1, range(2))


@pytest.mark.slow
def test_a_training_that_was_stopped_comes_to_the_same_weights(zoo: Any, scenes: Any, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("stopped", "whole")]
    for folder in folders:
        folder.mkdir()
    settings = zoo.Settings(steps=4, batch=2, seed=3, until=2)
    assert zoo.train("ddrnet-23-slim", scenes, folders[0], settings._replace(deadline=0)) is None
    stopped, whole = (zoo.train("ddrnet-23-slim", scenes, folder, settings) for folder in folders)
    first = zoo.build("ddrnet-23-slim").state_dict()
    for key, value in whole.state_dict().items():
        assert torch.equal(value, stopped.state_dict()[key]), key
    assert any(not torch.equal(value, first[key]) for key, value in whole.state_dict().items())


def test_what_is_packed_is_a_network_with_its_config(zoo: Any, scenes: Any, tmp_path: Path) -> None:
    zoo.finish("ddrnet-23-slim", zoo.build("ddrnet-23-slim").eval(), scenes, tmp_path)
    assert zoo.done(tmp_path, "ddrnet-23-slim")
    packed = zoo.pack(tmp_path)
    digest = packed.read_bytes()
    assert zoo.pack(tmp_path).read_bytes() == digest
    record = json.loads((tmp_path / "index.json").read_text())["ddrnet-23-slim"]
    source = segship.Source(
        zoo.configs() / record["config"], tmp_path / "ddrnet-23-slim.pth", cfg_options=record["options"]
    )
    spec = source.load().spec
    assert spec.classes == zoo.CLASSES
    assert spec.geometry[0].width == 1024


def test_every_network_has_a_config(zoo: Any) -> None:
    assert all((zoo.configs() / config).is_file() for config, _ in zoo.NETWORKS.values())
    assert not set(zoo.TRAINING) & set(range(16))
