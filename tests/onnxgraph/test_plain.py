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


def test_places_that_are_chosen_by_the_image_are_no_arithmetic(tmp_path: Path) -> None:
    """PointRend computes its least sure points anew, and puts them where it found them."""
    model = parsed(
        """g (float[1, 4, 8] image) => (float[1, 4, 8] logits) {
            first = Constant<value_ints = [0]>()
            row = Gather<axis = 1>(image, first)
            few = Constant<value_ints = [3]>()
            most, places = TopK(row, few)
            shape = Constant<value_ints = [1, 4, 3]>()
            all = Expand(places, shape)
            values = GatherElements<axis = 2>(image, all)
            new = Relu(values)
            logits = ScatterElements<axis = 2>(image, all, new)
        }"""
    )
    save(model, tmp_path / "model.onnx")
    plain = plain_graph(Graph(tmp_path / "model.onnx", "onnx", (), ()), tmp_path / "plain.onnx", 17)
    assert "ScatterElements" in kinds(load(plain.path))


def test_large_weights_are_the_same_and_in_the_file(tmp_path: Path) -> None:
    """They lie in a file while the graph is rewritten; a normalisation becomes part of them, one is transposed."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(128, 64, 3, 3)),
        "factor": random.uniform(0.5, 2, 128),
        "shift": random.normal(size=128),
        "mean": random.normal(size=128),
        "variance": random.uniform(0.5, 2, 128),
        "turned": random.normal(size=(512, 128)),
        "last": random.normal(size=(512, 256)),
    }
    model = parsed(
        """g (float[1, 64, 6, 5] image) => (float[1, 4, 3, 256] logits) {
            some = Conv(image, kernel)
            normal = BatchNormalization(some, factor, shift, mean, variance)
            rows = Transpose<perm = [0, 2, 3, 1]>(normal)
            weight = Transpose<perm = [1, 0]>(turned)
            more = MatMul(rows, weight)
            logits = MatMul(more, last)
        }""",
        **{name: value.astype(np.float32) for name, value in weights.items()},
    )
    save(model, tmp_path / "model.onnx")
    path = plain_graph(Graph(tmp_path / "model.onnx", "onnx", (), ()), tmp_path / "plain.onnx", 17).path
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model.onnx", "plain.onnx"]
    assert sorted(kinds(load(path))) == ["Conv", "MatMul", "MatMul", "Transpose"]
    image = random.normal(size=(1, 64, 6, 5)).astype(np.float32)
    before, after = (
        onnxruntime.InferenceSession(str(each), providers=["CPUExecutionProvider"]).run(None, {"image": image})[0]
        for each in (tmp_path / "model.onnx", path)
    )
    assert np.abs(before - after).max() < 1e-5 * np.abs(before).max()
