from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from segship.onnxgraph import file as onnx_file
from segship.onnxgraph.file import split, write

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
