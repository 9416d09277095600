from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.join_sigmoid import join_sigmoid
from support.onnx_models import computed, kinds, parsed

ONE = np.float32(1)


def network(*lines: str) -> str:
    return (
        "g (float[n, 3, h, w] image) => (float[n, 3, h, w] logits) { a = Neg(image) b = Exp(a) " + " ".join(lines) + "}"
    )


@pytest.mark.parametrize("total", ["c = Add(b, one)", "c = Add(one, b)"])
def test_the_four_become_one(total: str) -> None:
    model = parsed(network(total, "logits = Div(one, c)"), 20, one=np.asarray(ONE))
    model.graph.node[3].name = "layer"
    assert join_sigmoid(model)
    assert kinds(model) == ["Sigmoid"]
    assert model.graph.node[0].name == "layer"
    x = np.random.default_rng(0).normal(scale=8, size=(1, 3, 5, 7)).astype(np.float32)
    np.testing.assert_allclose(computed(model, image=x), 1 / (1 + np.exp(-x.astype(np.float64))), atol=1e-6)


def test_a_negation_that_lies_further_up_is_taken_back() -> None:
    text = """g (float[n, 3, h, w] image) => (float[n, 3, h, w] logits) {
        a = Neg(image) moved = Identity(a) b = Exp(moved) c = Add(b, one) logits = Div(one, c)
    }"""
    model = parsed(text, 20, one=np.asarray(ONE))
    model.graph.node[4].name = "layer"
    assert join_sigmoid(model)
    assert kinds(model) == ["Neg", "Identity", "Neg", "Sigmoid"]
    assert [node.name for node in model.graph.node[2:]] == ["layer_turned", "layer"]
    x = np.random.default_rng(0).normal(scale=8, size=(1, 3, 5, 7)).astype(np.float32)
    np.testing.assert_allclose(computed(model, image=x), 1 / (1 + np.exp(-x.astype(np.float64))), atol=1e-6)
    assert not join_sigmoid(model), "it is done once"


@pytest.mark.parametrize(
    "lines",
    [
        ("c = Add(b, two)", "logits = Div(one, c)"),
        ("c = Add(b, one)", "logits = Div(two, c)"),
        ("c = Add(b, one)", "logits = Div(c, one)"),
        ("c = Mul(b, one)", "logits = Div(one, c)"),
        ("c = Add(b, one)", "d = Div(one, c)", "logits = Mul(d, b)"),
    ],
)
def test_what_is_something_else_stays(lines: tuple[str, ...]) -> None:
    text = network(*lines)
    given = {name: np.asarray(value, np.float32) for name, value in (("one", 1), ("two", 2)) if name in text}
    model = parsed(text, 20, **given)
    before = kinds(model)
    assert not join_sigmoid(model)
    assert kinds(model) == before
