"""Networks of PaddleSeg, converted and held against Paddle Inference: where Paddle's environment is there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from segship.core.errors import BackendError, ConfigError, UnsafeFileError, UnsupportedError
from segship.core.spec import SizeRule
from segship.deploy import export
from segship.runtime import Segmentor
from segship.sources import Loaded, load
from segship.toolchains.paddle import TOOLCHAIN
from segship.verification.inputs import find_scenes
from segship.vision.draw import write_png
from support.commands import segship
from support.references import REFERENCES

FOLDERS = REFERENCES / "paddleseg"
BUILDER = Path(__file__).parents[1] / "support" / "paddle_networks.py"

pytestmark = pytest.mark.skipif(
    not TOOLCHAIN.environment().ready, reason="Paddle's environment is not there: segship doctor --setup paddle (1 GB)"
)


def build(folder: Path, name: str, *options: object) -> Path:
    """An inference folder written by Paddle."""
    command = [str(TOOLCHAIN.environment().python), "-I", str(BUILDER), name, str(folder), *map(str, options)]
    subprocess.run(command, check=True, capture_output=True, env=TOOLCHAIN.process_variables())
    return folder


def image(height: int, width: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def argmax() -> Loaded:
    return load(FOLDERS / "argmax")


@pytest.mark.parametrize("name", ["argmax", "legacy"])
def test_scores_are_paddles_own_at_the_networks_resolution(name: str) -> None:
    loaded = load(FOLDERS / name)
    assert (loaded.network.out_channels, loaded.network.sizes) == (4, SizeRule())
    assert loaded.network.logits(image(64, 96, batch=2)).shape == (2, 4, 16, 24)
    assert loaded.network(image(65, 97)).shape == (1, 4, 65, 97)
    assert set(loaded.origin) >= {"deploy.yaml", "model.pdiparams"}


def test_a_yaml_that_contradicts_the_program_is_noted(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDERS / "argmax", tmp_path / "x"))
    file = folder / "deploy.yaml"
    file.write_text(file.read_text().replace("output_op: argmax", "output_op: softmax"))
    assert any("output_op: softmax, but the program's is argmax" in note for note in load(folder).notes)


@pytest.mark.parametrize("output_op", ["softmax", "none"])
def test_what_the_export_appends_is_recognised(argmax: Loaded, tmp_path: Path, output_op: str) -> None:
    found = load(build(tmp_path / "x", "tiny", "--output-op", output_op)).network
    x = image(64, 96)
    torch.testing.assert_close(found.logits(x), argmax.network.logits(x), rtol=0, atol=1e-6)


def test_a_fixed_size_stays_fixed(tmp_path: Path) -> None:
    folder = build(tmp_path / "x", "tiny", "--size", 64, 96)
    loaded = load(folder)
    assert loaded.network.sizes == SizeRule(fixed=(64, 96), batch=1)
    package = export(folder, None, tmp_path / "package")
    assert Segmentor(package.path)(np.zeros((50, 70, 3), np.uint8)).shape == (50, 70)


def test_the_description_is_laid_over_the_yaml() -> None:
    said = {"classes": ["road", "wall", "sky", "car"], "normalization": {"mean": [0, 0, 0]}}
    loaded = load(FOLDERS / "argmax", spec=said, cfg_options=["sizes.multiple_of=32"])
    assert loaded.spec.classes == ("road", "wall", "sky", "car")
    assert loaded.spec.normalization.mean == (0, 0, 0)
    assert loaded.network.sizes == SizeRule(multiple_of=32)
    with pytest.raises(ConfigError, match="the network has 4 classes, but 19 are described"):
        load(FOLDERS / "argmax", cfg_options=["layout=cityscapes"])


@pytest.mark.parametrize("name", ["printing", "printing-legacy"])
def test_operators_that_do_more_than_compute_are_refused(name: str) -> None:
    with pytest.raises(UnsafeFileError, match=r"more than compute: .*print; nothing was run"):
        load(FOLDERS / name)


@pytest.mark.parametrize(
    ("file", "content"),
    [("model.json", b"[1, 2"), ("model.json", b"\x80\x04c__builtin__\neval\n"), ("model.pdiparams", b"{}")],
)
def test_damaged_files_are_errors(tmp_path: Path, file: str, content: bytes) -> None:
    folder = Path(shutil.copytree(FOLDERS / "argmax", tmp_path / "x"))
    (folder / file).write_bytes(content)
    with pytest.raises((ConfigError, BackendError), match=r"model\.json"):
        load(folder)


def test_engines_of_torch_programs_cannot_take_it(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="choose one that is built from ONNX"):
        export(FOLDERS / "argmax", None, tmp_path / "x", target="torchscript_static-64x96")


def test_package_needs_no_paddle_and_verify_compares_it(tmp_path: Path) -> None:
    package = tmp_path / "package"
    done = segship("export", FOLDERS / "argmax", package, "--classes", "road,traffic light,sky,car")
    assert done.returncode == 0, done.stderr
    picture = tmp_path / "street.png"
    write_png(picture, np.random.default_rng(0).integers(0, 256, (77, 131, 3), np.uint8))
    done = segship("verify", FOLDERS / "argmax", package, "--images", picture, "--to", tmp_path / "both", "--json", "-")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["passed"]
    assert found["network"] == "argmax (paddleseg)"
    (figures,) = found["images"]
    assert (figures["pixels"], figures["pixels_differ"]) == (77 * 131, 0)
    assert 0 < figures["max_difference"] < 1e-5
    for who in ("network", "package"):
        with Image.open(tmp_path / "both" / f"street_{who}.png") as mask:
            assert mask.size == (131, 77)


def test_another_network_does_not_pass(tmp_path: Path) -> None:
    package = export(FOLDERS / "argmax", None, tmp_path / "package").path
    other = build(tmp_path / "x", "tiny")
    (weights := other / "model.pdiparams").write_bytes(_negated(weights.read_bytes()))
    done = segship("verify", other, package, "--json", tmp_path / "figures.json")
    assert done.returncode == 1, done.stderr
    assert "FAILED" in done.stdout
    assert not json.loads((tmp_path / "figures.json").read_text())["passed"]


def _negated(params: bytes) -> bytes:
    """The sign of the last parameter's numbers turned; they stand at the end of the file."""
    head, numbers = params[: -4 * 8], np.frombuffer(params[-4 * 8 :], np.float32)
    return head + (-numbers).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bisenetv2", "danet", "deeplabv3", "deeplabv3p", "fcn-hrnetw18"])
def test_networks_of_papers_agree_with_paddle_at_every_size(tmp_path: Path, name: str) -> None:
    folder = build(tmp_path / name, name, "--width", 0.0625)
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), cv2.resize(find_scenes()[0], (208, 96)))
    package = export(folder, None, tmp_path / "package", images=[image], cfg_options=["layout=cityscapes"])
    checks = package.manifest.checks
    assert len({check.input[2:] for check in checks}) == 4, "the image's size and those of three scenes"
    assert {check.input[0] for check in checks} == {1, 2}
    assert all(check.labels_equal > 0.9999 and check.max_difference < 1e-3 for check in checks)
    model = onnx.load(next(package.path.glob("*.onnx")))
    assert model.opset_import[0].version >= 11
    _, _, height, width = model.graph.input[0].type.tensor_type.shape.dim
    assert height.dim_param
    assert width.dim_param
