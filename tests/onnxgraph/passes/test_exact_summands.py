from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.exact_summands import exact_summands
from support.onnx_models import computed, parsed

TEXT = """g (float[n] x, float[n] gate) => (float[n] y) {
    product = Mul(x, gate)
    q = QuantizeLinear(product, scale, zero)
    rounded = DequantizeLinear(q, scale, zero)
    xq = QuantizeLinear(x, scale, zero)
    shortcut = DequantizeLinear(xq, scale, zero)
    y = Add(shortcut, rounded)
}"""
VALUES = {"scale": np.array(0.5, np.float32), "zero": np.array(10, np.uint8)}
X, GATE = np.array([0.2, 1.3, -2.6], np.float32), np.array([0.9, 0.3, 0.5], np.float32)


def test_a_product_is_added_as_it_is_and_the_shortcut_stays_rounded() -> None:
    model = parsed(TEXT, **VALUES)
    assert exact_summands(model)
    assert [node.op_type for node in model.graph.node].count("QuantizeLinear") == 1
    expected = np.round(X / 0.5) * 0.5 + X * GATE
    np.testing.assert_allclose(computed(model, x=X, gate=GATE), expected, rtol=1e-6)
    assert not exact_summands(model)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("y = Add(shortcut, rounded)", "y = Mul(shortcut, rounded)"),
        TEXT.replace("product = Mul", "product = Sub"),
        # Somebody else reads the whole numbers, which have to be written then anyway.
        TEXT.replace("y = Add(shortcut, rounded)", "twice = Mul(rounded, rounded)\n y = Add(twice, rounded)"),
        TEXT.replace("y = Add(shortcut, rounded)", "z = Add(shortcut, rounded)\n y = Sub(z, product)"),
    ],
    ids=["no sum", "no product", "rounded twice read", "product twice read"],
)
def test_other_pairs_stay(text: str) -> None:
    model = parsed(text, **VALUES)
    before = model.SerializeToString()
    assert not exact_summands(model)
    assert model.SerializeToString() == before
