"""What of TensorRT can be seen without a GPU: its profiles, its errors, and int8 graphs as it wants them.

Engines themselves are tested by the suite over all engines, where there is a GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from segship.backends import DEFAULT, find_backend
from segship.backends import tensorrt as backend
from segship.capture import CaptureOptions, capture
from segship.core.artifacts import Device, Engine, TensorInfo
from segship.core.errors import BackendError
from segship.core.target import Shape, Target
from segship.deploy import Int8, export
from segship.quantize.nncf import to_int8
from segship.vision.draw import write_png
from support.fill import image
from support.tiny import tiny_network
from support.trained import write_trained

FREE = TensorInfo(name="image", dtype="float32", shape=("batch", 3, "height", "width"))
Dims = tuple[int, int, int, int]


@pytest.mark.parametrize(
    ("shape", "least", "typical", "greatest"),
    [
        # MMDeploy's own bounds for the config of this name.
        ("dynamic-512x1024-2048x2048", (1, 3, 512, 1024), (1, 3, 1024, 2048), (4, 3, 2048, 2048)),
        ("dynamic-512x512-640x640", (1, 3, 512, 512), (1, 3, 640, 640), (4, 3, 640, 640)),
        ("dynamic", (1, 3, 32, 32), (1, 3, 512, 1024), (4, 3, 2048, 2048)),
        ("dynamic-1024x4096", (1, 3, 32, 32), (1, 3, 1024, 4096), (4, 3, 2048, 4096)),
    ],
)
def test_a_profile_has_the_bounds_of_the_target(shape: str, least: Dims, typical: Dims, greatest: Dims) -> None:
    assert backend.profile(FREE, Shape.parse(shape)) == (least, typical, greatest)


def test_a_fixed_input_keeps_its_shape() -> None:
    fixed = (1, 6, 512, 1024)
    image = TensorInfo(name="image", dtype="float32", shape=fixed)
    assert backend.profile(image, Shape.parse("static-512x1024")) == (fixed, fixed, fixed)


def assert_symmetric(model: onnx.ModelProto) -> None:
    """Signed values without zero points."""
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert pairs
    for node in pairs:
        zero = values[node.input[2]]
        assert zero.data_type == TensorProto.INT8
        assert not numpy_helper.to_array(zero).any()


def test_a_workspace_is_positive() -> None:
    assert backend.INFO.read_options({"workspace": "1024"}) == {"workspace": 1024}
    with pytest.raises(BackendError, match="TensorRT's option workspace is 0: expected at least 1"):
        backend.INFO.read_options({"workspace": 0})


@pytest.mark.parametrize(("options", "message"), [({"device": "cpu"}, "runs on cuda"), ({"threads": 2}, "--threads")])
def test_what_a_gpu_does_not_have_is_refused(options: dict[str, object], message: str, tmp_path: Path) -> None:
    engine = Engine(tmp_path, ("model.plan",), (FREE,), ())
    with pytest.raises(BackendError, match=message):
        backend.open(engine, **options)  # type: ignore[arg-type]


def test_without_a_gpu_the_probe_says_why() -> None:
    (device, *_) = backend.probe()
    assert device.name.startswith("cuda")
    assert device.usable or "segship[tensorrt]" in device.note or "GPU" in device.note


@pytest.mark.slow
def test_symmetric_int8_has_signed_values_and_no_zero_points(tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="int8 needs segship[int8]")
    graph = capture(tiny_network(), tmp_path / "model.onnx", CaptureOptions(size=(48, 64), opset=backend.INFO.opset))
    samples = [image(48, 64, 1), image(64, 48, 1)]
    found = to_int8(graph, tmp_path / "int8.onnx", samples, symmetric=backend.INFO.symmetric)
    assert_symmetric(onnx.load(found.path))
    feeds = {"image": samples[0]}
    whole, eight = (
        onnxruntime.InferenceSession(file.path, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for file in (graph, found)
    )
    assert np.abs(whole - eight).max() < 0.05 * np.abs(whole).max()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:int8 is calibrated on")
def test_an_export_builds_of_symmetric_int8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nncf", reason="int8 needs segship[int8]")
    stand_in = find_backend(DEFAULT)  # for the GPU: what it is given to build of is what matters
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    monkeypatch.setattr(backend, "convert", stand_in.convert)
    monkeypatch.setattr(backend, "open", lambda engine, **_: stand_in.open(engine))
    monkeypatch.setattr(backend, "probe", lambda: (Device("cuda:0", usable=True, note=""),))
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(3):
        write_png(images / f"{seed}.png", np.random.default_rng(seed).integers(0, 256, (96, 160, 3), np.uint8))
    target = Target.parse("tensorrt-int8_static-96x160").model_copy(update={"options": {"workspace": "64"}})
    int8 = Int8(calibration=images, agreement=0)
    trained = write_trained(tmp_path / "trained")
    package = export(*trained, tmp_path / "package", target=target, int8=int8, allow_inexact=True)
    assert package.manifest.target.options == {"workspace": 64}
    model = onnx.load(package.path / next(iter(package.manifest.files)))
    assert {each.version for each in model.opset_import if not each.domain} == {backend.INFO.opset}
    assert_symmetric(model)
