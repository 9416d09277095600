"""Folders of PaddleX, as its own predictor of semantic segmentation reads and runs them.

``references/paddlex`` was recorded with PaddleX 3.7.2; 3.0.0 and 3.0.1 read folders alike.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from segship.core.errors import ConfigError, UnsupportedError
from segship.deploy import export
from segship.reading.description import read_description
from segship.runtime import Segmentor
from segship.sources.paddleseg.folder import read_folder
from segship.sources.paddleseg.network import for_channels
from segship.sources.paddleseg.transforms import read_transforms
from segship.toolchains.paddle import TOOLCHAIN
from segship.vision.preprocess import prepare
from support import paddlex_cases
from support.references import REFERENCES

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = REFERENCES / "paddlex"
BUILDER = Path(__file__).parents[1] / "support" / "paddlex_networks.py"
LABELS = 0.9999
NORMALIZE = {"type": "Normalize"}
HPI = {"backend_configs": {"paddle_infer": {"trt_dynamic_shapes": {"x": [[1, 3, 64, 64]] * 3}}}}

needs_paddle = pytest.mark.skipif(
    not TOOLCHAIN.environment().ready, reason="Paddle's environment is not there: segship doctor --setup paddle (1 GB)"
)


def folder(place: Path, *transforms: dict[str, Any], name: str = "PP-LiteSeg-T", **sections: Any) -> Path:
    """What PaddleX's training exports, with these transforms."""
    for kind in ("json", "pdiparams"):
        shutil.copy(REFERENCES / "paddleseg" / "argmax" / f"model.{kind}", place / f"inference.{kind}")
    deploy = {"model": "inference.pdmodel", "params": "inference.pdiparams", "transforms": list(transforms)}
    values = {"Global": {"model_name": name}, "Deploy": deploy, **sections}
    (place / "inference.yml").write_text(yaml.safe_dump(values))
    return place


def test_settings_of_its_fast_inference_say_nothing_of_the_image(tmp_path: Path) -> None:
    found = read_folder(folder(tmp_path, NORMALIZE, Hpi=HPI))
    assert (found.paddlex, found.ignored, found.said["geometry"]) == ("PP-LiteSeg-T", (), [])


def test_the_newer_program_counts_whatever_the_yaml_says(tmp_path: Path) -> None:
    place = folder(tmp_path, NORMALIZE)
    (place / "inference.pdmodel").write_bytes(b"of an earlier export")
    assert read_folder(place).program.name == "inference.json"
    (place / "inference.json").unlink()
    assert read_folder(place).program.name == "inference.pdmodel"


def test_the_last_of_several_transforms_counts() -> None:
    resizes = [{"type": "Resize", "target_size": side, "interp": "linear"} for side in (64, 96)]
    halves = {"type": "Normalize", "mean": [0.25] * 3}
    said, _ = read_transforms([*resizes, halves, NORMALIZE], "inference.yml", paddlex=True)
    (step,) = said["geometry"]
    assert (step["short"], step["multiple_of"]) == (96, 32)
    assert said["normalization"]["mean"] == (0.5,)


@pytest.mark.parametrize(
    ("transforms", "sections", "error", "words"),
    [
        ([], {}, ConfigError, "no Normalize, without which PaddleX runs nothing"),
        ([NORMALIZE | {"scale": 1.0}], {}, ConfigError, "Normalize has no argument 'scale'"),
        ([NORMALIZE], {"PostProcess": {}}, ConfigError, "The file has no 'PostProcess'"),
        ([NORMALIZE], {"label_list": ["road"]}, ConfigError, "The file has no 'label_list'"),
        ([NORMALIZE], {"name": "PP-LiteSeg-X"}, ConfigError, "called 'PP-LiteSeg-X'. Did you mean 'PP-LiteSeg-"),
        ([NORMALIZE], {"name": "STFPM"}, UnsupportedError, "STFPM, PaddleX's anomaly detection"),
        ([NORMALIZE, {"type": "ResizeByShort", "short_size": 9}], {}, UnsupportedError, "'ResizeByShort' is not"),
        ([NORMALIZE, {"type": "Resize", "target_size": 9, "interp": "AREA"}], {}, UnsupportedError, "interp is 'AREA'"),
    ],
)
def test_what_its_predictor_does_not_read_is_refused(
    transforms: list[Any], sections: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        read_folder(folder(tmp_path, *transforms, **sections))


@pytest.fixture(scope="module")
def recorded() -> Any:
    with np.load(FOLDER / "predicted.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("image", paddlex_cases.images())
@pytest.mark.parametrize("rule", paddlex_cases.RULES)
def test_the_network_is_given_what_its_predictor_gives_it(rule: str, image: str, recorded: Any) -> None:
    said, strange = read_transforms(paddlex_cases.RULES[rule], "inference.yml", paddlex=True)
    assert not strange
    description = for_channels(read_description(said, None, place="inference.yml"), 3)
    spec, _, _ = description.spec(source="paddleseg", architecture="x", outputs=19, channels=3)
    tensor = prepare(paddlex_cases.images()[image], spec, channel_order="bgr").tensor
    assert tensor.shape[2:] == tuple(recorded[f"size/{rule}/{image}"])
    expected = recorded[f"input/{rule}/{image}"]
    assert np.abs(tensor[0, :, :: paddlex_cases.STRIDE, :: paddlex_cases.STRIDE] - expected).max() < 2e-6


@needs_paddle
@pytest.mark.parametrize("network", paddlex_cases.NETWORKS)
def test_its_own_labels(network: str, recorded: Any, tmp_path: Path) -> None:
    for rule in paddlex_cases.NETWORKS[network]:
        place = build(tmp_path / rule, network, rule)
        with Segmentor(export(place, None, tmp_path / f"package-{rule}").path) as segmentor:
            for name, image in paddlex_cases.images().items():
                found = segmentor(image, channel_order="bgr")
                assert share(found, recorded[f"labels/{network}/{rule}/{name}"]) >= LABELS, (rule, name)


def build(place: Path, network: str, rule: str) -> Path:
    """A folder as PaddleX's training exports it."""
    command = [TOOLCHAIN.environment().python, "-I", BUILDER, network, place, json.dumps(paddlex_cases.RULES[rule])]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=TOOLCHAIN.process_variables())
    return place


def share(found: NDArray[Any], expected: NDArray[Any]) -> float:
    assert found.shape == expected.shape
    return float((found == expected).mean())


@pytest.mark.parametrize(
    ("name", "transforms"),
    [
        ("no Normalize", [{"type": "Resize", "target_size": 160}]),
        ("another transform", [NORMALIZE, {"type": "ResizeByShort", "short_size": 96}]),
    ],
)
def test_what_its_predictor_does_not_run_is_refused(
    name: str, transforms: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert json.loads((FOLDER / "index.json").read_text())["refused"][name]
    with pytest.raises((ConfigError, UnsupportedError)):
        read_folder(folder(tmp_path, *transforms))


def test_a_size_of_minus_one_twice_resizes_nothing_though_its_predictor_does_not_run_it(tmp_path: Path) -> None:
    assert json.loads((FOLDER / "index.json").read_text())["refused"]["minus one twice"]
    resize = {"type": "Resize", "target_size": [-1, -1]}
    assert not [step for step in read_folder(folder(tmp_path, NORMALIZE, resize)).said["geometry"] if step]
