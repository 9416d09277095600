from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.unsigned_activations import unsigned_activations
from support.onnx_models import computed, initializers, parsed

PAIR = """g (float[n] x) => (float[n] y) {
    q = QuantizeLinear(x, scale, zero)
    y = DequantizeLinear(q, scale, zero)
}"""
WITH_A_WEIGHT = """g (float[2] x) => (float[2] y, float[2] w) {
    q = QuantizeLinear(x, scale, zero)
    y = DequantizeLinear(q, scale, zero)
    w = DequantizeLinear(weight, scale, zero)
}"""
READ_AS_NUMBERS = """g (float[n] x) => (float[n] y) {
    q = QuantizeLinear(x, scale, zero)
    y = Cast<to=1>(q)
}"""
QUANTISED_OUTPUT = """g (float[n] x) => (int8[n] q) {
    q = QuantizeLinear(x, scale, zero)
}"""
X = np.array([-9, -0.5, 0, 0.7, 9], np.float32)
SCALE = np.array(0.05, np.float32)


@pytest.mark.parametrize("zero", [0, 5, -128, 127])
def test_values_with_a_sign_lose_it_and_mean_the_same(zero: int) -> None:
    model = parsed(PAIR, scale=SCALE, zero=np.array(zero, np.int8))
    before = computed(model, x=X)
    assert unsigned_activations(model)
    assert initializers(model)["zero"] == zero + 128
    assert initializers(model)["zero"].dtype == np.uint8
    np.testing.assert_array_equal(computed(model, x=X), before)
    assert not unsigned_activations(model)


@pytest.mark.parametrize("text", [WITH_A_WEIGHT, READ_AS_NUMBERS, QUANTISED_OUTPUT])
def test_what_somebody_else_reads_keeps_its_sign(text: str) -> None:
    model = parsed(text, scale=SCALE, zero=np.array(3, np.int8), weight=np.array([1, 2], np.int8))
    before = model.SerializeToString()
    assert not unsigned_activations(model)
    assert model.SerializeToString() == before
