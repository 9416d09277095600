from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.one_batch import one_batch
from support.onnx_models import computed, kinds, parsed

SIZES = {"parts": "3, 5, 7, 28", "whole": "1, 21, 35, 4", "heads": "15, 7, 2, 14", "one": "1, 30, 7, 14"}
SHAPES = "<" + ", ".join(f"int64[4] {name} = {{{sides}}}" for name, sides in SIZES.items()) + ">"


def network(*lines: str, result: str = "float[a, b, c, d]") -> str:
    return f"g (float[1, 15, 49, 4] image) => ({result} logits) {SHAPES} {{ {' '.join(lines)} }}"


def test_windows_that_become_an_image_lie_in_one_image() -> None:
    text = network("p = Reshape(image, parts)", "t = Transpose<perm = [0, 2, 1, 3]>(p)", "logits = Reshape(t, whole)")
    before, model = parsed(text), parsed(text)
    model.graph.node[1].name = "layer"
    assert one_batch(model)
    assert kinds(model) == ["Reshape", "Transpose", "Reshape"]
    assert model.graph.node[1].name == "layer"
    assert list(model.graph.node[1].attribute[0].ints) == [0, 1, 3, 2, 4]
    x = np.random.default_rng(0).normal(size=(1, 15, 49, 4)).astype(np.float32)
    np.testing.assert_array_equal(computed(model, image=x), computed(before, image=x))
    assert not one_batch(model), "it is done once"


@pytest.mark.parametrize(
    "lines",
    [
        ("p = Reshape(image, heads)", "t = Transpose<perm = [0, 2, 1, 3]>(p)", "logits = Reshape(t, one)"),
        ("p = Reshape(image, parts)", "t = Transpose<perm = [1, 0, 2, 3]>(p)", "logits = Reshape(t, whole)"),
        ("p = Reshape(image, parts)", "t = Transpose<perm = [0, 2, 1, 3]>(p)", "logits = Relu(t)"),
        (
            "p = Reshape(image, parts)",
            "t = Transpose<perm = [0, 2, 1, 3]>(p)",
            "s = Reshape(t, whole)",
            "r = Reshape(p, whole)",
            "logits = Add(s, r)",
        ),
    ],
)
def test_what_is_something_else_stays(lines: tuple[str, ...]) -> None:
    model = parsed(network(*lines))
    before = model.SerializeToString()
    assert not one_batch(model)
    assert model.SerializeToString() == before
