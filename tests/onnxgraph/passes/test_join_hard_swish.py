from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.join_hard_swish import join_hard_swish
from support.onnx_models import computed, kinds, parsed

SIXTH = "alpha = 0.16666667, beta = 0.5"
SWISH = f"h = HardSigmoid<{SIXTH}>(a)"


def network(*lines: str) -> str:
    return "g (float[n, 3, h, w] image) => (float[n, 3, h, w] logits) { a = Relu(image) " + " ".join(lines) + "}"


@pytest.mark.parametrize("product", ["s = Mul(a, h)", "s = Mul(h, a)"])
def test_the_two_become_one(product: str) -> None:
    model = parsed(network(SWISH, product, "logits = Identity(s)"))
    model.graph.node[2].name = "layer"
    assert join_hard_swish(model)
    assert kinds(model) == ["Relu", "HardSwish", "Identity"]
    assert model.graph.node[1].name == "layer"
    x = np.random.default_rng(0).normal(scale=4, size=(1, 3, 5, 7)).astype(np.float32)
    a = np.maximum(x, 0)
    np.testing.assert_allclose(computed(model, image=x), a * np.clip(a / 6 + 0.5, 0, 1), atol=2e-6)


@pytest.mark.parametrize(
    "lines",
    [
        (SWISH, "logits = Mul(image, h)"),
        (SWISH, "logits = Mul(h, h)"),
        (SWISH, "logits = Add(a, h)"),
        (SWISH, "s = Mul(a, h)", "logits = Add(s, h)"),
        ("h = HardSigmoid(a)", "logits = Mul(a, h)"),
        (f"logits = HardSigmoid<{SIXTH}>(a)", "s = Mul(a, logits)"),
    ],
)
def test_what_is_something_else_stays(lines: tuple[str, ...]) -> None:
    model = parsed(network(*lines))
    before = kinds(model)
    assert not join_hard_swish(model)
    assert kinds(model) == before
