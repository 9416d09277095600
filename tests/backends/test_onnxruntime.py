from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from segship.backends import backend_names, find_backend
from segship.backends import onnxruntime as backend
from segship.core.artifacts import Engine, Graph
from segship.core.errors import BackendError
from segship.core.target import Target


def test_backends_are_found_by_their_file_names() -> None:
    assert "onnxruntime" in backend_names()
    assert find_backend("onnxruntime") is not None
    with pytest.raises(BackendError, match=r"Did you mean 'onnxruntime'\?"):
        find_backend("onnxrutime")


def test_the_processor_always_works() -> None:
    assert [device.usable for device in backend.probe() if device.name == "cpu"] == [True]


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"text")
    with pytest.raises(BackendError, match=r"cannot open .*model\.onnx"):
        backend.open(Engine(tmp_path, ("model.onnx",), (), ()))


@pytest.mark.parametrize(
    ("device", "message"), [("gpu", "no device is called 'gpu'"), ("cuda:x", "no device is called")]
)
def test_an_unknown_device_is_refused(tmp_path: Path, device: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        backend.open(Engine(tmp_path, ("model.onnx",), (), ()), device=device)


def test_a_device_this_build_lacks_names_the_ones_it_has(tmp_path: Path) -> None:
    if any(device.name == "directml" for device in backend.probe()):
        pytest.skip("this build of ONNX Runtime has DirectML")
    with pytest.raises(BackendError, match=r"no directml support \(it has .*cpu.*\): pip install onnxruntime-directml"):
        backend.open(Engine(tmp_path, ("model.onnx",), (), ()), device="directml")


def prelu(slopes: list[float], folder: Path) -> Graph:
    from onnx import TensorProto, helper, numpy_helper

    shape = ["batch", len(slopes), "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "logits")]
    table = numpy_helper.from_array(np.array(slopes, np.float32)[:, None, None], "slopes")
    node = helper.make_node("PRelu", ["image", "slopes"], ["logits"], name="prelu")
    model = helper.make_model(
        helper.make_graph([node], "g", values[:1], values[1:], [table]), opset_imports=[helper.make_opsetid("", 20)]
    )
    model.ir_version = 10
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return Graph(folder / "model.onnx", "onnx", (), ())


@pytest.mark.parametrize("slopes", [[0.25, 1.0, -0.5], [0.25, 1.5, -0.5]])
def test_prelu_is_computed_the_fast_way_with_the_same_bits(slopes: list[float], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = prelu(slopes, tmp_path / "graph")
    (tmp_path / "engine").mkdir()
    engine = backend.convert(graph, Target.parse("onnxruntime_dynamic"), tmp_path / "engine")
    kinds = [node.op_type for node in onnx.load(tmp_path / "engine" / "model.onnx").graph.node]
    assert kinds == (["Mul", "Max"] if max(slopes) <= 1 else ["PRelu"])
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    found = backend.open(engine).run({"image": x})["logits"]
    assert np.array_equal(found, np.where(x > 0, x, np.array(slopes, np.float32)[:, None, None] * x))


def attention(shape: str, options: str, folder: Path) -> Graph:
    import onnx.parser

    model = onnx.parser.parse_model(f"""<ir_version: 11, opset_import: ["" : 23]>
    attending (float{shape} query, float{shape} key, float{shape} value) => (float{shape} logits) {{
        warm = Relu(query)
        known = Relu(key)
        logits = Attention{options}(warm, known, value)
    }}""")
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    return Graph(folder / "model.onnx", "onnx", (), ())


@pytest.mark.parametrize(
    ("shape", "options", "rewritten"),
    [
        ("[batch, 1, tokens, 16]", "", True),
        ("[batch, 2, tokens, 16]", "<scale = 0.5>", True),
        ("[batch, 2, 300, 16]", "", True),
        ("[batch, 2, 49, 16]", "", False),
        ("[batch, 8, tokens, 16]", "", False),
        ("[batch, heads, tokens, 16]", "<is_causal = 1>", False),
        ("[batch, tokens, 32]", "<q_num_heads = 2, kv_num_heads = 2>", False),
    ],
)
def test_attention_of_few_heads_over_many_tokens_is_written_as_products_with_the_same_result(
    shape: str, options: str, rewritten: bool, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    graph = attention(shape, options, tmp_path / "graph")
    (tmp_path / "engine").mkdir()
    engine = backend.convert(graph, Target.parse("onnxruntime_dynamic"), tmp_path / "engine")
    kinds = [node.op_type for node in onnx.load(tmp_path / "engine" / "model.onnx").graph.node]
    assert kinds[2:] == (["Mul", "Transpose", "MatMul", "Softmax", "MatMul"] if rewritten else ["Attention"])
    sides = [int({"batch": 3, "heads": 2, "tokens": 260}.get(side, side)) for side in shape.strip("[]").split(", ")]
    rng = np.random.default_rng(0)
    feeds = {name: rng.normal(size=sides).astype(np.float32) for name in ("query", "key", "value")}
    expected, found = (
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        for path in (graph.path, engine.directory / engine.files[0])
    )
    assert np.abs(found - expected).max() < 1e-5
