from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from segship import export
from segship.core.errors import BackendError, UnsupportedError
from segship.core.spec import ModelSpec, Normalization, Padding, Resize, ResizeShortestEdge, Slide
from segship.deploy import export_mmdeploy
from segship.formats.mmdeploy.writer import pipeline_file
from segship.runtime import Segmentor
from segship.sources import Source
from segship.vision.decode import read_image

ASSETS = Path(__file__).parents[2] / "src" / "segship" / "assets" / "demo"
DEMO = ASSETS / "fast_scnn_scenes.py", ASSETS / "fast_scnn_scenes.pth"
SPEC = ModelSpec(
    source="mmseg",
    architecture="x",
    classes=("a", "b"),
    palette=((0, 0, 0), (1, 1, 1)),
    normalization=Normalization(channel_order="rgb", mean=(1, 2, 3), std=(4, 5, 6)),
)
# What MMDeploy's runtime is asked to do with an image, through a Python that has it.
RUN = """
import sys, numpy
from mmdeploy_runtime import Segmentor
image = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], numpy.asarray(Segmentor(model_path=sys.argv[1], device_name="cpu")(image)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mmdeploy") / "out"
    assert export_mmdeploy(Source(*DEMO), out) >= 0.9999
    return out


@pytest.mark.slow
def test_the_folder_is_what_the_runtime_looks_for(folder: Path) -> None:
    names = {"end2end.onnx", "deploy.json", "pipeline.json", "detail.json"}
    assert {path.name for path in folder.iterdir()} == names
    model = onnx.load(folder / "end2end.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 9
    assert model.opset_import[0].version <= 19
    assert json.loads((folder / "deploy.json").read_text())["models"][0]["net"] == "end2end.onnx"


@pytest.mark.slow
def test_at_the_networks_own_size_the_graph_gives_our_masks(folder: Path, tmp_path: Path) -> None:
    export(*DEMO, tmp_path / "package")
    segmentor = Segmentor(tmp_path / "package", channel_order="bgr")
    image = np.repeat(np.repeat(read_image(ASSETS / "images" / "scene_00.jpg"), 2, 0), 2, 1)
    assert image.shape == (512, 1024, 3)
    normalization = segmentor.spec.normalization
    tensor = (image[:, :, ::-1] - np.float32(normalization.mean)) / np.float32(normalization.std)
    session = onnxruntime.InferenceSession(folder / "end2end.onnx")
    mask = session.run(["output"], {"input": tensor.transpose(2, 0, 1)[None].astype(np.float32)})[0]
    assert mask.shape == (1, 1, 512, 1024)
    assert (mask[0, 0] == segmentor(image)).mean() >= 0.9999
    python = os.environ.get("SEGSHIP_MMDEPLOY_PYTHON")
    if python is None:
        pytest.skip("SEGSHIP_MMDEPLOY_PYTHON names no Python with mmdeploy_runtime; the graph itself was compared")
    np.save(tmp_path / "image.npy", image)
    arguments = [folder, tmp_path / "image.npy", tmp_path / "mask.npy"]
    subprocess.run([python, "-c", RUN, *arguments], check=True, capture_output=True)
    assert (np.load(tmp_path / "mask.npy") == segmentor(image)).mean() >= 0.9999


def test_only_the_engine_inside_the_runtime_is_taken(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="onnxruntime in fp32, not for openvino-int8_dynamic"):
        export_mmdeploy(Source(*DEMO), tmp_path / "out", "openvino-int8_dynamic")


def test_the_pipeline_is_the_preprocessing() -> None:
    spec = SPEC.model_copy(update={"geometry": (Resize(width=1024, height=512, keep_ratio=True),)})
    transforms = pipeline_file(spec)["pipeline"]["tasks"][0]["transforms"]
    assert {"type": "Resize", "size": [1024, 512], "keep_ratio": True} in transforms
    assert {"type": "Normalize", "mean": [1, 2, 3], "std": [4, 5, 6], "to_rgb": True} in transforms


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"slide": Slide(crop=(8, 8), stride=(4, 4))}, "no sliding windows"),
        ({"geometry": (ResizeShortestEdge(size=8, max_size=16),)}, "only Resize"),
        ({"padding": Padding(multiple_of=32)}, "does not cut padding off"),
    ],
)
def test_what_the_runtime_cannot_do_is_refused(update: dict[str, object], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        pipeline_file(SPEC.model_copy(update=update))
