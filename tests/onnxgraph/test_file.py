from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from segship.onnxgraph import file as onnx_file
from segship.onnxgraph.file import data_file, is_large, load, save, split, write
from segship.onnxgraph.weights import Weights

if TYPE_CHECKING:
    from pathlib import Path

LARGE = np.arange(3 * 8 * 40, dtype=np.float32).reshape(3, 8, 40)  # 3840 bytes: two digits of a varint
LARGER = np.linspace(-1, 1, 8 * 3000, dtype=np.float32).reshape(8, 3000)  # 96 000 bytes: three
SMALL = np.array([0, 2, 1], np.int64)


def model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Transpose", ["large"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "larger"], ["y"]),
    ]
    tensors = {"large": LARGE, "small": SMALL, "larger": LARGER}
    initializers = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 40, 3000])
    graph = helper.make_graph(nodes, "graph", [], [output], initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    helper.set_model_props(made, {"key": "value"})
    return made


def tensors_of(read: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in read.graph.initializer}


@pytest.mark.parametrize("kind", ["proto", "ir"])
def test_what_is_split_and_written_is_read_as_it_was(kind: str, tmp_path: Path) -> None:
    rest, weights = split(model() if kind == "proto" else ir.from_proto(model()))
    assert list(weights) == ["large", "larger"]
    assert [tensor.name for tensor in rest.graph.initializer] == ["small"]
    write(rest, weights, tmp_path / "model.onnx")
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    read = onnx.load(tmp_path / "model.onnx")
    found = tensors_of(read)
    for name, expected in {"large": LARGE, "small": SMALL, "larger": LARGER}.items():
        np.testing.assert_array_equal(found[name], expected)
    assert [node.op_type for node in read.graph.node] == ["Transpose", "MatMul"]
    assert {prop.key: prop.value for prop in read.metadata_props} == {"key": "value"}
    assert (read.opset_import[0].version, read.graph.output[0].name) == (20, "y")


def test_weights_too_large_for_one_message_go_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", LARGER.nbytes)
    rest, weights = split(model())
    write(rest, weights, tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").stat().st_size == LARGE.nbytes + LARGER.nbytes
    assert (tmp_path / "model.onnx").stat().st_size < LARGE.nbytes
    found = tensors_of(onnx.load(tmp_path / "model.onnx"))
    np.testing.assert_array_equal(found["large"], LARGE)
    np.testing.assert_array_equal(found["larger"], LARGER)


def test_the_file_is_what_protobuf_itself_reads_and_writes_again(tmp_path: Path) -> None:
    write(*split(model()), tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    assert len(onnx.load(tmp_path / "model.onnx").SerializeToString()) == len(content)


def test_a_message_is_left_as_it_is_when_it_is_split() -> None:
    before = model()
    split(before)
    assert before == model()


def test_a_small_model_is_saved_as_protobuf_writes_it(tmp_path: Path) -> None:
    save(model(), tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == model().SerializeToString()
    assert load(tmp_path / "model.onnx") == model()
    assert not is_large(model())


def test_a_large_model_is_saved_with_its_weights_beside_it_and_loaded_with_or_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", LARGER.nbytes)
    given = model()
    assert is_large(given)
    save(given, tmp_path / "model.onnx")
    assert given == model()
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    np.testing.assert_array_equal(tensors_of(load(tmp_path / "model.onnx"))["larger"], LARGER)
    assert {prop.key: prop.value for prop in load(tmp_path / "model.onnx").metadata_props} == {"key": "value"}
    light = load(tmp_path / "model.onnx", weights=False)
    assert not is_large(light)
    assert len(light.SerializeToString()) < LARGE.nbytes


def test_a_model_without_its_weights_is_saved_elsewhere_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", LARGER.nbytes)
    source, path = tmp_path / "model.onnx", tmp_path / "other" / "changed.onnx"
    path.parent.mkdir()
    save(model(), source)
    light = load(source, weights=False)
    light.graph.node[0].name = "changed"
    save(light, path, source=source)
    data_file(source).unlink()
    read = load(path)
    assert read.graph.node[0].name == "changed"
    np.testing.assert_array_equal(tensors_of(read)["larger"], LARGER)
    save(load(path, weights=False), path)  # in place: what lies beside it stays there
    np.testing.assert_array_equal(tensors_of(load(path))["large"], LARGE)


class Repeated:
    """A weight whose numbers are as large as wanted and made a megabyte at a time."""

    def __init__(self, number: int, megabytes: int) -> None:
        self.dtype, self.shape = TensorProto.UINT8, (megabytes, 2**20)
        self.nbytes = megabytes * 2**20
        self._number = number

    def numpy(self) -> np.ndarray:
        return np.broadcast_to(np.uint8(self._number), self.shape)

    def tobytes(self) -> bytes:
        return bytes([self._number]) * self.nbytes


@pytest.mark.slow
def test_more_than_two_gibibytes_are_written_and_read_a_weight_at_a_time(tmp_path: Path) -> None:
    weights: Weights = {f"w{number}": Repeated(number, 35) for number in range(60)}  # 2.05 GiB
    nodes = [helper.make_node("Gather", [name, "index"], [f"{name}.row"]) for name in weights]
    nodes.append(helper.make_node("Concat", [f"{name}.row" for name in weights], ["y"], axis=0))
    index = helper.make_tensor_value_info("index", TensorProto.INT64, [1])
    output = helper.make_tensor_value_info("y", TensorProto.UINT8, [60, 2**20])
    graph = helper.make_graph(nodes, "g", [index], [output])
    path = tmp_path / "model.onnx"
    write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), weights, path)
    assert data_file(path).stat().st_size > 2**31
    light = load(path, weights=False)
    assert [tensor.name for tensor in light.graph.initializer] == list(weights)
    light.graph.node[0].name = "changed"
    save(light, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])  # it maps the weights
    found = session.run(None, {"index": np.array([34])})[0]
    np.testing.assert_array_equal(found, np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None], (60, 2**20)))
