"""Weights of torchvision's networks, against torchvision's own output and its own preset."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from segship.core.errors import CheckpointError, ConfigError, InputError
from segship.core.spec import ResizeEdges
from segship.networks.session import EagerSession
from segship.runtime.pipeline import Pipeline
from segship.sources import find_source, load, sources
from segship.vision.decode import read_image
from support import fill
from support.references import REFERENCES

try:
    from torchvision.models import get_model
    from torchvision.transforms._presets import SemanticSegmentation
except (ImportError, RuntimeError) as reason:  # that of another torch raises the second
    pytest.skip(f"torchvision: {reason}: pip install segship[torchvision]", allow_module_level=True)

UNRECORDED = "compared with torchvision itself while the tests run"
STREET = REFERENCES / "pipeline" / "street_300x401.png"


def trained(name: str, folder: Path, **options: Any) -> tuple[Any, Path]:
    """A network with weights of its own, and the file that ``torch.save(model.state_dict())`` writes."""
    model = get_model(name, weights=None, weights_backbone=None, **options).eval()
    state = model.state_dict()
    floats = {key: value for key, value in state.items() if value.is_floating_point()}
    model.load_state_dict(state | {key: torch.from_numpy(fill.fill(key, tuple(v.shape))) for key, v in floats.items()})
    torch.save(model.state_dict(), folder / "weights.pth")
    return model, folder / "weights.pth"


@pytest.mark.parametrize("name", ["lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_mask_equals_torchvisions(name: str, tmp_path: Path) -> None:
    model, file = trained(name, tmp_path, num_classes=5)
    assert find_source(Path(name)) is sources()["torchvision"]
    loaded = load(name, file, cfg_options=["classes=[a,b,c,d,e]"])
    pixels = SemanticSegmentation(resize_size=520)(Image.open(STREET).convert("RGB"))[None]
    with torch.inference_mode():
        scores = model(pixels)["out"]
        ours = loaded.network(pixels)
        theirs = torch.nn.functional.interpolate(scores, (300, 401), mode="bilinear")[0].argmax(0).numpy()
    assert (ours - scores).abs().max() / scores.abs().max() < 1e-6
    mask = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes).labels(read_image(STREET), "bgr")
    assert (mask == theirs).mean() >= 0.9999
    assert loaded.spec.geometry == (ResizeEdges(short=520, interpolation="pillow_bilinear"),)


@pytest.mark.parametrize("kind", ["reference script", "parallel"])
def test_checkpoints_of_training_scripts(kind: str, tmp_path: Path) -> None:
    model, file = trained("lraspp_mobilenet_v3_large", tmp_path, num_classes=3)
    state = model.state_dict()
    if kind == "parallel":
        torch.save({f"module.{key}": value for key, value in state.items()}, file)
    else:
        arguments = argparse.Namespace(data_path=Path("data"), device="cpu", lr=0.01)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01).state_dict()
        torch.save({"model": state, "optimizer": optimizer, "epoch": 29, "args": arguments}, file)
    image = torch.from_numpy(fill.image(64, 80))
    with torch.inference_mode():
        theirs, ours = model(image)["out"], load("lraspp_mobilenet_v3_large", file).network(image)
    assert (ours - theirs).abs().max() / theirs.abs().max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50"])
def test_the_auxiliary_head_is_left_out(name: str, tmp_path: Path) -> None:
    model, file = trained(name, tmp_path, num_classes=3, aux_loss=True)
    loaded = load(name, file)
    image = torch.from_numpy(fill.image(64, 80))
    with torch.inference_mode():
        theirs = model(image)["out"]
        difference = (loaded.network(image) - theirs).abs().max()
    assert difference / theirs.abs().max() < 1e-6


def test_a_description_names_what_torchvision_does_not_say(tmp_path: Path) -> None:
    described = {
        "architecture": "lraspp_mobilenet_v3_large",
        "classes": ["road", "wall", "sky"],
        "geometry": [{"kind": "resize", "height": 256, "width": 320}],
        "normalization": "unit",
    }
    file = tmp_path / "road.yaml"
    file.write_text(yaml.safe_dump(described))
    loaded = load(file, random_weights=True)
    assert loaded.spec.classes == ("road", "wall", "sky")
    assert loaded.spec.geometry[0].height == 256
    np.testing.assert_array_equal(loaded.spec.normalization.std, [255.0] * 3)
    assert loaded.provenance.normalization.where.startswith("road.yaml")
    assert loaded.spec.architecture == "torchvision.lraspp_mobilenet_v3_large"


def test_mistakes_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fcn_resnet5 does not exist\. Did you mean 'fcn_resnet50'"):
        load("fcn_resnet5", tmp_path / "weights.pth")
    with pytest.raises(ConfigError, match="'unet' is no architecture of torchvision's"):
        load("unet", tmp_path / "weights.pth", source="torchvision")
    with pytest.raises(InputError, match="name the trained weights"):
        load("fcn_resnet50")
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match="is not of this network"):
        load("lraspp_mobilenet_v3_large", tmp_path / "resnet.pth")
