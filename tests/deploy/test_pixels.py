"""Lone models for others' tools: what the tools read in them, and that the labels are the network's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import openvino
import pytest

from segship import Segmentor, export
from segship.core.errors import BackendError, InputError, UnsupportedError
from segship.deploy import export_pixels
from segship.sources import Source
from support.commands import segship
from support.trained import write_trained

SIDE = 128

# What a user of the library runs, by a Python that SEGSHIP_MODEL_API names.
RUN = """
import sys, cv2, numpy
from model_api.adapters import OpenvinoAdapter, create_core
from model_api.models import SegmentationModel
exact = {"INFERENCE_PRECISION_HINT": "f32"}
model = SegmentationModel(OpenvinoAdapter(create_core(), sys.argv[1], plugin_config=exact), preload=True)
found = model(cv2.imread(sys.argv[2]))
numpy.save(sys.argv[3], getattr(found, "resultImage", found))
print(type(model).__name__, " ".join(model.params.labels))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def package(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Segmentor:
    return Segmentor(export(*trained, tmp_path_factory.mktemp("package") / "out"))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (9, 11, 3), np.uint8)
    return cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def tiled(folder: Path, trained: tuple[Path, Path], layout: Any) -> onnxruntime.InferenceSession:
    assert export_pixels(Source(*trained), folder, layout, f"onnxruntime_static-{SIDE}x{SIDE}") >= 0.9999
    assert [path.name for path in folder.iterdir()] == ["model.onnx"]
    return onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def as_deepness(session: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    """What the plugin does with a tile, after its preprocessing_utils and map_processor_segmentation."""
    told = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    pixels = np.float32(image[None] * 1.0 / 255.0)
    pixels = (pixels - told["standardization_mean"]) / told["standardization_std"]
    (result,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(0, 3, 1, 2).astype(np.float32)})
    result[result < told["seg_thresh"]] = 0
    return result.argmax(axis=1)[0]


def test_deepness_finds_its_keys_and_the_networks_labels(
    trained: tuple[Path, Path], package: Segmentor, picture: np.ndarray, tmp_path: Path
) -> None:
    session = tiled(tmp_path / "out", trained, "deepness")
    told = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}
    assert told["model_type"] == "Segmentor"
    assert told["class_names"] == {str(label): name for label, name in enumerate(package.classes)}
    assert (told["tile_size"], told["tiles_overlap"], told["seg_small_segment"]) == (SIDE, 15, 0)
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert given.shape == [1, 3, SIDE, SIDE]
    assert made.shape == [1, len(package.classes), SIDE, SIDE]
    assert np.array_equal(as_deepness(session, picture), package(picture))


def test_ultralytics_finds_its_keys_and_the_networks_labels(
    trained: tuple[Path, Path], package: Segmentor, picture: np.ndarray, tmp_path: Path
) -> None:
    import ast

    session = tiled(tmp_path / "out", trained, "ultralytics")
    told = session.get_modelmeta().custom_metadata_map
    assert told["task"] == "semantic"
    assert ast.literal_eval(told["names"]) == dict(enumerate(package.classes))
    assert ast.literal_eval(told["imgsz"]) == [SIDE, SIDE]
    (scores,) = session.run(["output0"], {"images": picture.transpose(2, 0, 1)[None].astype(np.float32) / 255})
    assert np.array_equal(scores[0].argmax(0), package(picture))


@pytest.fixture(scope="module")
def model_api(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model_api") / "out"
    assert export_pixels(Source(*trained), out, "model_api") >= 0.9999
    assert sorted(path.name for path in out.iterdir()) == ["model.bin", "model.xml"]
    return out / "model.xml"


def test_model_info_is_where_the_library_looks(model_api: Path, package: Segmentor, picture: np.ndarray) -> None:
    model = openvino.Core().read_model(model_api)
    assert model.get_rt_info(["model_info", "model_type"]).astype(str) == "Segmentation"
    assert model.get_rt_info(["model_info", "labels"]).astype(str).split() == list(package.classes)
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = np.ascontiguousarray(picture[:97])
    pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
    scores = np.array(compiled({"image": pixels})[0])  # the engine takes its own back
    assert np.mean(scores[0].argmax(0) == package(image)) > 0.9999


@pytest.mark.skipif("SEGSHIP_MODEL_API" not in os.environ, reason="no Python with openvino-model-api is named")
def test_the_library_itself_gives_our_labels(
    model_api: Path, package: Segmentor, picture: np.ndarray, tmp_path: Path
) -> None:
    image = np.ascontiguousarray(picture[:97])
    cv2.imwrite(str(tmp_path / "a.png"), image[:, :, ::-1])
    words = [os.environ["SEGSHIP_MODEL_API"], "-c", RUN, model_api, tmp_path / "a.png", tmp_path / "found.npy"]
    made = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    assert made.stdout.split() == ["SegmentationModel", *package.classes]
    assert np.mean(np.load(tmp_path / "found.npy") == package(image)) > 0.9999


def test_what_the_tools_lack_is_refused(trained: tuple[Path, Path], tmp_path: Path) -> None:
    source = Source(*trained)
    with pytest.raises(InputError, match="tiles are square"):
        export_pixels(source, tmp_path / "out", "deepness", "onnxruntime_static-64x128")
    with pytest.raises(BackendError, match="for openvino in fp32"):
        export_pixels(source, tmp_path / "out", "model_api", "onnxruntime_dynamic")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="mine"):
        export_pixels(source, tmp_path / "mine", "deepness")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_windows_become_tiles(tmp_path: Path) -> None:
    config, weights = write_trained(tmp_path / "n", test_cfg="mode='slide', crop_size=(96, 96), stride=(64, 64)")
    made = segship("export", config, weights, tmp_path / "out", "--layout", "deepness")
    assert made.returncode == 0, made.stderr
    assert "Deepness" in made.stdout
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 96, 96]
    assert json.loads(session.get_modelmeta().custom_metadata_map["tiles_overlap"]) == 33
    with pytest.raises(UnsupportedError, match="slides"):
        export_pixels(Source(config, weights), tmp_path / "api", "model_api")
