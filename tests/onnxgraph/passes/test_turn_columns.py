from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.turn_columns import turn_columns
from support.onnx_models import computed, kinds, parsed

SIZES = "<int64[4] cell = {2, 5, 1, 1}, int64[1] last = {3}>"


def network(*lines: str, inputs: str = "float[2, 5, 6] image") -> str:
    return f"g ({inputs}) => (float[a, b, c, d] logits) {SIZES} {{ {' '.join(lines)} }}"


@pytest.mark.parametrize("shaping", ["Reshape(m, cell)", "Unsqueeze(m, last)"])
def test_a_column_is_turned_before_it_gets_another_shape(shaping: str) -> None:
    vector = np.random.default_rng(1).normal(size=(2, 6, 1)).astype(np.float32)
    text = network("m = MatMul(image, vector)", f"logits = {shaping}")
    before, model = (parsed(text, 20, vector=vector) for _ in range(2))
    assert turn_columns(model)
    assert kinds(model) == ["MatMul", "Transpose", "Reshape"]
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(computed(model, image=x), computed(before, image=x))
    assert not turn_columns(model), "it is done once"


@pytest.mark.parametrize(
    ("lines", "width"),
    [
        (("m = MatMul(image, vector)", "logits = Unsqueeze(m, last)"), 2),
        (("m = MatMul(image, vector)", "r = Relu(m)", "logits = Unsqueeze(r, last)"), 1),
    ],
)
def test_what_is_something_else_stays(lines: tuple[str, ...], width: int) -> None:
    model = parsed(network(*lines), 20, vector=np.ones((2, 6, width), np.float32))
    before = kinds(model)
    assert not turn_columns(model)
    assert kinds(model) == before
