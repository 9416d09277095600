from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.sums_to_differences import sums_to_differences
from support.onnx_models import computed, parsed

TEXT = """g (float[3, n] x) => (float[2, n] y) {
    product = MatMul(bases, x)
    y = Add(product, small)
}"""
VALUES = {"bases": np.array([[0.3, -1.7, 2.9], [0.1, 0.7, -0.2]], np.float32), "small": np.array(1e-6, np.float32)}
X = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("product, small", "small, product")], ids=["behind", "before"])
def test_a_constant_behind_a_product_is_subtracted_with_the_same_bits(text: str) -> None:
    model = parsed(text, **VALUES)
    expected = computed(model, x=X)
    assert sums_to_differences(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Sub"]
    np.testing.assert_array_equal(computed(model, x=X), expected)


@pytest.mark.parametrize(
    "text",
    [TEXT.replace("bases, x", "x, bases"), TEXT.replace("product, small", "product, product")],
    ids=["a layer's own weights", "no constant"],
)
def test_other_sums_stay(text: str) -> None:
    model = parsed(text.replace("float[3, n] x", "float[n, 2] x"), **VALUES)
    assert not sums_to_differences(model)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Add"]
