"""Modules of the user's own: from Python, and by a function that the command line names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import segship
from segship.core.errors import ConfigError, UnsafeFileError, UnsupportedError
from segship.core.spec import ModelSpec, Normalization, SizeRule
from segship.runtime import Segmentor
from segship.sources import load

MODULE = """
import torch
from torch import nn

UNRECORDED = "the module that the user's function returns is the reference"

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.pool = nn.AdaptiveAvgPool2d((2, 3))

    def forward(self, x):
        x = self.conv(x)
        return {"out": x + nn.functional.interpolate(self.pool(x), x.shape[2:])}

def build():
    torch.manual_seed(0)
    return Net()

def described():
    return build(), {"classes": ["a", "b", "c", "d"], "normalization": "unit"}

def wrong():
    return 1

def failing():
    return 1 / 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_road_net.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_road_net", raising=False)
    return "python:my_road_net:"


class Plain(nn.Module):
    def __init__(self, classes: int = 3, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, classes, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.conv(x)


def test_a_module_becomes_a_package(tmp_path: Path) -> None:
    network = Plain()
    spec = ModelSpec(
        source="mine", architecture="Plain", classes=("a", "b", "c"), palette=((0, 0, 0), (1, 1, 1), (2, 2, 2)),
        normalization=Normalization(mean=(10, 20, 30), std=(40, 50, 60)),
    )  # fmt: skip
    package = segship.export_module(network, spec, tmp_path / "out", sizes=SizeRule(multiple_of=2))
    assert package.manifest.spec.classes == ("a", "b", "c")
    assert package.manifest.sizes.multiple_of == 2
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    x = torch.from_numpy((image - np.array([10.0, 20, 30])) / [40, 50, 60]).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        expected = nn.functional.interpolate(network(x), (32, 48), mode="bilinear").argmax(1)[0].numpy()
    assert (Segmentor(package.path)(image) == expected).mean() > 0.999


def test_a_function_needs_trust(module: str) -> None:
    with pytest.raises(UnsafeFileError, match=r"my_road_net:build.*--trust"):
        load(module + "build")


def test_a_function_makes_the_network(module: str, tmp_path: Path) -> None:
    assert load(module + "described", trust=True).spec.classes == ("a", "b", "c", "d")
    description = tmp_path / "net.yaml"
    description.write_text("classes: [r, s, t, u]\nnormalization: {mean: [1, 2, 3]}\n")
    torch.save({"state_dict": {"conv.weight": torch.ones(4, 3, 3, 3), "conv.bias": torch.ones(4)}}, tmp_path / "w.pth")
    loaded = load(description, tmp_path / "w.pth", source=module + "build", trust=True)
    assert loaded.spec.classes == ("r", "s", "t", "u")
    assert loaded.spec.normalization.mean == (1, 2, 3)
    assert set(loaded.origin) == {"net.yaml", "w.pth"}
    assert torch.equal(loaded.network.state_dict()["module.conv.bias"], torch.ones(4))


def test_the_command_line_may_leave_the_description_to_the_function(module: str) -> None:
    entry = module + "described"  # what `segship export --source python:… OUT` hands on in both places
    assert load(entry, source=entry, trust=True).spec.classes == ("a", "b", "c", "d")
    with pytest.raises(ConfigError, match=r"lost\.yaml is no file: expected what the network expects"):
        load("lost.yaml", source=entry, trust=True)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("wrong", "returns a int, expected a torch.nn.Module"),
        ("failing", "fails: ZeroDivisionError"),
        ("nothing", "fails: AttributeError"),
        ("a b", "names no function"),
    ],
)
def test_functions_that_make_no_network_are_told(module: str, function: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(module + function, trust=True)


def test_adaptive_pooling_of_a_users_module_is_exact_at_every_size(module: str, tmp_path: Path) -> None:
    package = segship.export(module + "described", None, tmp_path / "out", trust=True)
    assert len({check.input[2:] for check in package.manifest.checks}) >= 2
    assert max(check.max_difference for check in package.manifest.checks) < 1e-5


class Returning(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Any:
        return self.value(x)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda x: x.flatten(1), r"a tensor of shape \(1, 245760\), expected scores"),
        (lambda x: x.squeeze(0), r"an array of shape \(3, 256, 320\), expected scores .* or labels"),
        (lambda x: {"masks": x}, r"a dictionary of 'masks', expected scores.*'logits'"),
        (lambda _: "road", "returns a str"),
        (lambda x: x.reshape(7, 7), "cannot take an input of 1x3x256x320.*multiple_of"),
    ],
)
def test_outputs_that_are_no_scores_are_told(value: Any, message: str) -> None:
    from segship.sources.python import load_module

    with pytest.raises(UnsupportedError, match=message):
        load_module(Returning(value), {}, normalize="none")


def test_scores_are_found_in_usual_places() -> None:
    from segship.sources.python import load_module

    for value in (lambda x: {"out": x, "aux": x[:, :1]}, lambda x: [x, None], lambda x: x):
        assert load_module(Returning(value), {}, normalize="none").network.out_channels == 3
    binary = load_module(Plain(1, channels=6), {"threshold": 0.25}, normalize="none").spec
    assert (binary.output, binary.threshold, len(binary.classes), binary.channels) == ("sigmoid", 0.25, 2, 6)


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (lambda x: x, None),
        (lambda x: [x, None], None),
        (lambda x: {"out": x}, None),
        (lambda x: (x, -x), "The network returns 2 values: the first is taken as its scores."),
        (lambda x: {"aux": -x, "out": x}, "The network returns 'aux', 'out': 'out' is taken as its scores."),
    ],
)
def test_which_of_several_values_is_taken_is_noted(value: Any, note: str | None) -> None:
    from segship.sources.python import load_module

    notes = [line for line in load_module(Returning(value), {}, normalize="none").notes if "returns" in line]
    assert notes == ([] if note is None else [note])


def program(path: Path, *, dynamic: bool) -> Path:
    """A module saved by torch.export, of 48x64 or of any size."""
    free = torch.export.Dim.DYNAMIC
    shapes = ({0: free, 2: free, 3: free},) if dynamic else None
    example = torch.zeros(2 if dynamic else 1, 3, 48, 64)
    torch.export.save(torch.export.export(Plain().eval(), (example,), dynamic_shapes=shapes), path)
    return path


def test_a_program_is_not_opened_without_trust(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="--trust"):
        load(program(tmp_path / "net.pt2", dynamic=False))


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_program_becomes_a_package(dynamic: bool, tmp_path: Path) -> None:
    path = program(tmp_path / "net.pt2", dynamic=dynamic)
    path.with_suffix(".yaml").write_text("classes: [road, wall, sky]\nnormalization: none\n")
    package = segship.export(path, None, tmp_path / "package", trust=True)
    assert package.manifest.spec.classes == ("road", "wall", "sky")
    assert package.manifest.sizes.fixed == (None if dynamic else (48, 64))
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float()[None]
    with torch.inference_mode():
        scores = nn.functional.interpolate(Plain().eval()(tensor), (48, 64), mode="bilinear")
    mask = Segmentor(tmp_path / "package")(image)
    assert (mask == scores.argmax(1)[0].numpy()).mean() > 0.999


def test_what_is_no_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(b"PK nothing")
    with pytest.raises(ConfigError, match=r"no program of torch\.export"):
        load(tmp_path / "net.pt2", trust=True)
