from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.flat_layer_norm import flat_layer_norm
from support.onnx_models import computed, kinds, parsed

WEIGHTS = "<float[4, 1, 1] weight = {1.5, 0.5, -2, 1}, float[4, 1, 1] bias = {0, 1, 2, 3}>"


def network(line: str, weights: str = WEIGHTS) -> str:
    return f"g (float[2, 4, 1, 1] image) => (float[2, 4, 1, 1] logits) {weights} {{ {line} }}"


@pytest.mark.parametrize("inputs", ["image, weight, bias", "image, weight"])
@pytest.mark.parametrize("axis", [1, -3])
def test_three_axes_become_one(inputs: str, axis: int) -> None:
    text = network(f"logits = LayerNormalization<axis = {axis}, epsilon = 0.01>({inputs})")
    before, model = parsed(text, 20), parsed(text, 20)
    assert flat_layer_norm(model)
    assert kinds(model) == ["Reshape", "LayerNormalization", "Reshape"]
    x = np.random.default_rng(0).normal(size=(2, 4, 1, 1)).astype(np.float32)
    np.testing.assert_allclose(computed(model, image=x), computed(before, image=x), atol=1e-6)
    assert not flat_layer_norm(model), "it is done once"


@pytest.mark.parametrize(
    "line",
    [
        "w = Relu(weight) logits = LayerNormalization<axis = 1>(image, w, bias)",
        "logits = LayerNormalization<axis = -1>(image, one)",
        "c = Constant<value = float {1}>() logits = Add(image, c)",  # a node without inputs
        "logits = LayerNormalization<axis = 1>(image, all)",  # one weight for all channels
    ],
)
def test_what_is_something_else_stays(line: str) -> None:
    model = parsed(network(line, WEIGHTS[:-1] + ", float[1] one = {1}, float[1, 1, 1] all = {3}>"), 20)
    before = model.SerializeToString()
    assert not flat_layer_norm(model)
    assert model.SerializeToString() == before
