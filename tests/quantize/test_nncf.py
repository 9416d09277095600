from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import numpy_helper

from segship.backends import onnxruntime as onnxruntime_backend
from segship.core.artifacts import Engine, Graph, TensorInfo
from segship.core.target import Target
from segship.onnxgraph import file as onnx_file
from segship.onnxgraph.file import data_file, load, save
from segship.quantize.nncf import quantize_onnx, to_int8
from support.onnx_models import initializers

pytest.importorskip("nncf", reason="int8 needs segship[int8]")


def depthwise(path: Path) -> Graph:
    """Eight channels of very different ranges, each filtered by itself."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]>
    depthwise (float[n, 3, h, w] image) => (float[n, 4, p, q] logits) {
        wide = Conv<pads: ints = [1, 1, 1, 1]>(image, first)
        positive = Relu(wide)
        filtered = Conv<group: int = 8, pads: ints = [1, 1, 1, 1]>(positive, each)
        bounded = Relu(filtered)
        logits = Conv(bounded, last)
    }""")
    shapes = {"first": (8, 3, 3, 3), "each": (8, 1, 3, 3), "last": (4, 8, 1, 1)}
    for name, shape in shapes.items():
        values = rng.normal(size=shape) * np.arange(1, shape[0] + 1).reshape(-1, 1, 1, 1)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    onnx.save_model(model, path)
    image = TensorInfo(name="image", dtype="float32", shape=("n", 3, "h", "w"))
    logits = TensorInfo(name="logits", dtype="float32", shape=("n", 4, "p", "q"))
    return Graph(path, "onnx", (image,), (logits,))


def test_weights_that_lie_beside_the_file_are_quantised_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(1).normal(size=(1, 3, 32, 48)).astype(np.float32)
    small = to_int8(depthwise(tmp_path / "model.onnx"), tmp_path / "small.onnx", [image])
    monkeypatch.setattr(onnx_file, "LARGEST", 0)
    monkeypatch.setattr(onnx_file, "_SMALL", 64)
    graph = depthwise(tmp_path / "model.onnx")
    save(load(graph.path), graph.path)
    assert data_file(graph.path).is_file()
    large = to_int8(graph, tmp_path / "large.onnx", [image])
    expected, found = load(small.path), load(large.path)
    assert found.graph.node == expected.graph.node
    for name, values in initializers(expected).items():
        np.testing.assert_array_equal(initializers(found)[name], values)


def test_layers_are_given_back_where_weights_lie_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 0)
    monkeypatch.setattr(onnx_file, "_SMALL", 64)
    image = np.random.default_rng(1).normal(size=(1, 3, 32, 48)).astype(np.float32)
    graph = depthwise(tmp_path / "model.onnx")
    target = Target.parse("onnxruntime-int8_dynamic")
    quantized = quantize_onnx(graph, target, onnxruntime_backend, [image])
    ranked = quantized.rank([image], lambda *_: None)
    assert sorted(name for name, _ in ranked) == sorted(quantized.layers)
    (tmp_path / "engine").mkdir()
    engine = quantized.build(quantized.layers, tmp_path / "engine", lambda graph: graph)
    assert engine.files == ("model.onnx", "model.onnx.data")
    expected = onnxruntime_backend.open(Engine(tmp_path, ("model.onnx",), graph.inputs, graph.outputs))
    with onnxruntime_backend.open(engine) as found, expected:
        np.testing.assert_array_equal(found.run({"image": image})["logits"], expected.run({"image": image})["logits"])


def test_depthwise_convolutions_run_in_integers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(1, 3, 32, 48)).astype(np.float32)
    graph = depthwise(tmp_path / "model.onnx")
    found = to_int8(graph, tmp_path / "int8.onnx", [image])
    model = onnx.load(found.path)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    scales = [values[node.input[1]].size for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert scales
    assert max(scales) == 1  # one for each activation: engines know no other
    whole, eight = (
        onnxruntime.InferenceSession(file.path, providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]
        for file in (graph, found)
    )
    assert np.abs(whole - eight).mean() < 0.05 * np.abs(whole).mean()


def pooled(path: Path) -> Graph:
    """A convolution without an activation, whose result, of both signs, goes through a padded pooling."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]>
    pooled (float[n, 3, h, w] image) => (float[n, 4, p, q] logits) {
        shifted = Conv<pads: ints = [1, 1, 1, 1]>(image, first, bias)
        small = AveragePool<kernel_shape = [5, 5], pads = [2, 2, 2, 2], count_include_pad = 1>(shifted)
        logits = Conv(small, last)
    }""")
    for name, shape in {"first": (8, 3, 3, 3), "bias": (8,), "last": (4, 8, 1, 1)}.items():
        values = rng.normal(size=shape) + (3 if name == "bias" else 0)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    onnx.save_model(model, path)
    image = TensorInfo(name="image", dtype="float32", shape=("n", 3, "h", "w"))
    logits = TensorInfo(name="logits", dtype="float32", shape=("n", 4, "p", "q"))
    return Graph(path, "onnx", (image,), (logits,))


def test_padded_poolings_are_right_in_openvino(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    image = np.random.default_rng(1).normal(size=(1, 3, 16, 24)).astype(np.float32)
    graph = pooled(tmp_path / "model.onnx")
    found = to_int8(graph, tmp_path / "int8.onnx", [image])
    makers = {output: node.op_type for node in onnx.load(found.path).graph.node for output in node.output}
    pooling = next(node for node in onnx.load(found.path).graph.node if node.op_type == "AveragePool")
    assert makers[pooling.input[0]] == "Conv"
    whole, eight = (
        openvino.Core().compile_model(file.path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"image": image})[0]
        for file in (graph, found)
    )
    assert np.abs(whole - eight).mean() < 0.02 * np.abs(whole).mean()


def attentive(path: Path) -> Graph:
    """Pixels that look at each other, by the operator that engines compute as a whole."""
    rng = np.random.default_rng(0)
    model = onnx.parser.parse_model("""<ir_version: 11, opset_import: ["" : 23]>
    attentive (float[n, 3, h, w] image) => (float[n, s, 4] logits) {
        wide = Conv(image, first)
        shape = Constant<value_ints = [0, 8, -1]>()
        rows = Reshape(wide, shape)
        tokens = Transpose<perm = [0, 2, 1]>(rows)
        query = MatMul(tokens, asks)
        key = MatMul(tokens, answers)
        value = MatMul(tokens, says)
        seen = Attention<q_num_heads = 2, kv_num_heads = 2>(query, key, value)
        logits = MatMul(seen, last)
    }""")
    shapes = {"first": (8, 3, 1, 1), **dict.fromkeys(("asks", "answers", "says"), (8, 8)), "last": (8, 4)}
    for name, shape in shapes.items():
        model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    onnx.save_model(model, path)
    image = TensorInfo(name="image", dtype="float32", shape=("n", 3, "h", "w"))
    logits = TensorInfo(name="logits", dtype="float32", shape=("n", "s", 4))
    return Graph(path, "onnx", (image,), (logits,))


def test_attention_stays_in_floating_point_and_what_feeds_it_does_not(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(size=(1, 3, 8, 12)).astype(np.float32)
    graph = attentive(tmp_path / "model.onnx")
    nodes = onnx.load(to_int8(graph, tmp_path / "int8.onnx", [image]).path).graph.node
    makers = {output: node for node in nodes for output in node.output}
    (attention,) = (node for node in nodes if node.op_type == "Attention")
    before = [makers[name] for name in attention.input]
    assert [node.op_type for node in before] == ["MatMul"] * 3
    assert {makers[name].op_type for node in before for name in node.input} == {"DequantizeLinear"}
