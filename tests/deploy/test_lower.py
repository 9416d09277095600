from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from segship import Segmentor, export_module
from segship.core.errors import SegshipWarning
from segship.onnxgraph.session import open_model
from segship.onnxgraph.units import find_units, rounded

SPEC = {"classes": ["a", "b"], "normalization": {"std": [255.0] * 3}}


class Loud(nn.Module):
    """Its middle is beyond what float16 can hold, and its end is not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.loud = nn.Conv2d(4, 4, 1, bias=False)
        self.last = nn.Conv2d(4, 2, 1)
        with torch.no_grad():
            self.loud.weight.mul_(3e6)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.loud(self.first(x)) * 3e-6)


def network() -> onnx.ModelProto:
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]>
    chain (float[n, 3, h, w] image) => (float[n, 2, h, w] logits) {
        [half] small = Mul(image, image)
        [first] wide = Conv(small, first_weight)
        [relu] positive = Relu(wide)
        [second] other = Conv(small, first_weight)
        [sum] both = Add(positive, other)
        [shape] size = Shape(both)
        [last] logits = Conv(both, last_weight)
    }""")
    rng = np.random.default_rng(0)
    for name, shape in {"first_weight": (4, 3, 1, 1), "last_weight": (2, 4, 1, 1)}.items():
        model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    return model


def test_a_unit_is_a_layer_and_what_follows_it() -> None:
    assert find_units(network()) == {
        "image": ("half",),
        "first": ("first", "relu"),
        "second": ("second", "sum", "shape"),  # what two units give belongs to the later
        "last": ("last",),
    }


@pytest.mark.parametrize(("precision", "digits"), [("bf16", 8), ("fp16", 11)])
def test_what_a_unit_sees_is_rounded_and_nothing_else(precision: str, digits: int) -> None:
    image = np.random.default_rng(1).normal(size=(1, 3, 4, 5)).astype(np.float32)
    model = network()
    whole = open_model(model).run(None, {"image": image})[0]
    untouched = open_model(rounded(model, [], precision)).run(None, {"image": image})[0]
    np.testing.assert_array_equal(untouched, whole)
    found = open_model(rounded(model, ["last"], precision)).run(None, {"image": image})[0]
    change = np.abs(found - whole).max() / np.abs(whole).max()
    assert 2.0 ** -(digits + 4) < change < 2.0 ** -(digits - 2)


def test_layers_that_float16_cannot_hold_stay_in_float32(tmp_path: Path) -> None:
    package = export_module(Loud().eval(), SPEC, tmp_path / "out", "onnxruntime-fp16_dynamic")
    record = package.manifest.quantization
    assert record is not None
    assert 0 < len(record.kept) < record.layers
    assert any("loud" in name for name in record.kept), record.kept
    assert record.slowdown is not None
    assert package.manifest.failures == ()
    assert package.manifest.standing == "verified on the engine"
    kinds = {tensor.data_type for tensor in onnx.load(tmp_path / "out" / "model.onnx").graph.initializer}
    assert {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16} <= kinds


def test_what_passes_keeps_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    quiet = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    assert export_module(quiet, SPEC, tmp_path / "out", "onnxruntime-fp16_dynamic").manifest.quantization is None


def test_openvino_computes_marked_layers_in_float32(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    from segship.backends import openvino as backend
    from segship.core.artifacts import Graph, TensorInfo
    from segship.core.target import Target

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    path = tmp_path / "model.onnx"
    onnx.save_model(network(), path)
    image = TensorInfo(name="image", dtype="float32", shape=("n", 3, "h", "w"))
    logits = TensorInfo(name="logits", dtype="float32", shape=("n", 2, "h", "w"))
    pixels = np.random.default_rng(1).normal(size=(1, 3, 32, 48)).astype(np.float32)
    found = {}
    for kept in ((), ("half", "first", "relu", "second", "sum", "last", "logits")):
        folder = tmp_path / str(len(kept))
        folder.mkdir()
        graph = Graph(path, "onnx", (image,), (logits,), kept=kept)
        engine = backend.convert(graph, Target.parse("openvino-bf16_dynamic"), folder)
        with backend.open(engine) as session:
            found[len(kept)] = session.run({"image": pixels})["logits"]
    whole = open_model(network()).run(None, {"image": pixels})[0]
    errors = {count: np.abs(values - whole).max() / np.abs(whole).max() for count, values in found.items()}
    assert errors[0] > 1e-3
    assert errors[7] < 1e-5


@pytest.mark.filterwarnings("ignore::segship.SegshipWarning")
def test_bfloat16_that_is_only_emulated_is_not_called_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    from segship.backends import openvino as backend

    monkeypatch.setattr(backend, "_abilities", lambda _core: ["FP32"])
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1))
    manifest = export_module(module, SPEC, tmp_path / "out", "openvino-bf16_dynamic").manifest
    assert manifest.standing == "built, not verified here"
    assert any("no bfloat16" in note for note in manifest.notes)
    with pytest.warns(SegshipWarning, match="no bfloat16"):
        Segmentor(tmp_path / "out").close()
