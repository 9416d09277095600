from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from segship.core.artifacts import Graph
from segship.core.errors import UnsupportedError
from segship.onnxgraph.file import load, save
from segship.onnxgraph.metadata import metadata_of, set_metadata
from segship.onnxgraph.plain import plain_graph
from support.onnx_models import kinds, parsed


def test_a_static_graph_has_an_older_opset_no_shape_arithmetic_and_no_attention(tmp_path: Path) -> None:
    model = parsed(
        """g (float[1, 4, 8, 6] image) => (float[1, 4, 8, 6] logits) {
            shape = Shape(image)
            one = Constant<value_ints = [1]>()
            sizes = Mul(shape, one)
            again = Reshape(image, sizes)
            logits = Attention(again, image, image)
        }""",
        opset=23,
    )
    set_metadata(model, {"segship": "{}"})
    save(model, tmp_path / "model.onnx")
    plain = load(plain_graph(Graph(tmp_path / "model.onnx", "onnx", (), ()), tmp_path / "plain.onnx", 17).path)
    assert plain.opset_import[0].version == 17
    assert sorted(kinds(plain)[-5:]) == ["MatMul", "MatMul", "Mul", "Softmax", "Transpose"]
    assert not {"Shape", "Attention"} & set(kinds(plain))
    assert all(node.name for node in plain.graph.node)
    assert metadata_of(plain) == {"segship": "{}"}
    image = np.random.default_rng(0).normal(size=(1, 4, 8, 6)).astype(np.float32)
    expected, found = (
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"image": image}
        )[0]
        for each in (model, plain)
    )
    assert np.abs(expected - found).max() < 1e-5


def test_arithmetic_on_whole_numbers_of_the_image_is_refused(tmp_path: Path) -> None:
    model = parsed(
        """g (float[1, 4, 8, 6] image) => (float[1, 1, 8, 6] logits) {
            best = ArgMax<axis = 1>(image)
            two = Constant<value_int = 2>()
            twice = Mul(best, two)
            logits = Cast<to = 1>(twice)
        }"""
    )
    save(model, tmp_path / "model.onnx")
    with pytest.raises(UnsupportedError, match="Mul 'twice' computes with whole numbers"):
        plain_graph(Graph(tmp_path / "model.onnx", "onnx", (), ()), tmp_path / "plain.onnx", 17)
