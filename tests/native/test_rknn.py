"""Packages for Rockchip's chips in C, by a stand-in for librknnrt that checks the documented calls."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from segship.core.artifacts import TensorInfo
from segship.core.files import digest
from segship.core.manifest import Manifest
from segship.core.spec import Letterbox, ModelSpec, Normalization, SizeRule
from segship.core.target import Target
from segship.vision import upsample
from segship.vision.preprocess import prepare
from support.native import NativeError, Segmentor

if TYPE_CHECKING:
    from support.native import Library

SOURCE = Path(__file__).parents[1] / "support" / "librknnrt.c"
SIZE = (24, 32)
SPEC = ModelSpec(
    source="x",
    architecture="x",
    classes=("red", "green", "blue"),
    palette=((255, 0, 0), (0, 255, 0), (0, 0, 255)),
    geometry=(Letterbox(height=SIZE[0], width=SIZE[1], value=(114.0,)),),
    normalization=Normalization(mean=(110.0, 115.0, 120.0), std=(55.0, 60.0, 65.0)),
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board's folder of libraries."""
    folder = tmp_path_factory.mktemp("lib")
    compiler = shutil.which("cc") or shutil.which("c++")
    if compiler is None:
        pytest.skip("the stand-in for librknnrt needs a C compiler")
    command = [compiler, "-x", "c", "-shared", "-fPIC", "-o", folder / "librknnrt.so", SOURCE]
    subprocess.run(list(map(str, command)), check=True)
    return folder


def package(folder: Path, model: str = "RKNN 24 32") -> Path:
    """A package of a network that returns its three channels as scores."""
    folder.mkdir()
    (folder / "model.rknn").write_text(model)
    image = TensorInfo(name="image", dtype="float32", shape=(1, 3, *SIZE))
    Manifest(
        spec=SPEC,
        sizes=SizeRule(fixed=SIZE),
        target=Target.parse(f"rknn-int8_static-{SIZE[0]}x{SIZE[1]}"),
        inputs=(image,),
        outputs=(image.model_copy(update={"name": "logits"}),),
        files={"model.rknn": digest(folder / "model.rknn")},
    ).write(folder)
    return folder


def picture(number: int = 0) -> Any:
    return np.random.default_rng(number).integers(0, 256, (41 + number, 59, 3), np.uint8)


def mask_of(image: Any) -> Any:
    prepared = prepare(image, SPEC, channel_order="rgb")
    return upsample.labels(prepared.tensor[0], prepared.steps, align_corners=False)


def test_masks_are_those_of_the_networks_scores_from_any_thread(library: Library, board: Path, tmp_path: Path) -> None:
    native = Segmentor(library, package(tmp_path / "package"), runtime=str(board))
    assert native.engine == f"RKNN 2.3.2 (stand-in) ({board}/librknnrt.so)"
    images = [picture(number) for number in range(5)]
    with ThreadPoolExecutor(3) as pool:
        for found, image in zip(pool.map(native.mask, images * 4), images * 4, strict=True):
            np.testing.assert_array_equal(found, mask_of(image))


@pytest.mark.parametrize(
    ("model", "options", "kind", "words"),
    [
        ("onnx", {}, "backend", r"^RKNN cannot open .*/model\.rknn: the model is not one of its own, status -6$"),
        ("RKNN 24 32 busy", {}, "backend", r": the chip is not available, status -3$"),
        ("RKNN 24 32", {"device": "cpu"}, "unsupported", "run on npu, not on cpu"),
        ("RKNN 24 32", {"threads": 2}, "unsupported", "no threads to set"),
    ],
)
def test_what_cannot_be_opened_is_told_in_a_line(
    model: str, options: dict[str, Any], kind: str, words: str, library: Library, board: Path, tmp_path: Path
) -> None:
    with pytest.raises(NativeError, match=words) as caught:
        Segmentor(library, package(tmp_path / "package", model), runtime=str(board), **options)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("RKNN 48 64", r"^RKNN refuses the input image \(1, 3, 24, 32\): the engine takes 9216 numbers$"),
        ("RKNN 24 32 short", "it returned 4 bytes, expected 9216"),
    ],
)
def test_what_the_chip_does_not_run_is_told(
    model: str, words: str, library: Library, board: Path, tmp_path: Path
) -> None:
    native = Segmentor(library, package(tmp_path / "package", model), runtime=str(board))
    with pytest.raises(NativeError, match=words) as caught:
        native.mask(picture())
    assert caught.value.kind == "backend"
