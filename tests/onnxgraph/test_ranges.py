"""Which values an output can have: what the last operators of a graph say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segship.onnxgraph.ranges import output_range
from support.onnx_models import parsed

INFINITE = math.inf


@pytest.mark.parametrize(
    ("nodes", "low", "high", "whole"),
    [
        ("y = Sigmoid(x)", 0, 1, False),
        ("a = Softmax <axis = 1> (x) y = Transpose <perm = [0, 2, 3, 1]> (a)", 0, 1, False),
        ("a = Neg(x) b = Exp(a) c = Add(one, b) y = Reciprocal(c)", 0, 1, False),
        ("a = Tanh(x) b = Add(a, one) y = Mul(b, half)", 0, 1, False),
        ("a = Sigmoid(x) b = Sub(one, a) y = Concat <axis = 1> (a, b)", 0, 1, False),
        ("y = Clip(x, zero, one)", 0, 1, False),
        ('a = Sigmoid(x) y = Resize <mode = "linear"> (a, , scales)', 0, 1, False),
        ('a = Sigmoid(x) y = Resize <mode = "cubic"> (a, , scales)', -INFINITE, INFINITE, False),
        ("a = ArgMax <axis = 1> (x) y = Cast <to = 1> (a)", 0, INFINITE, True),
        ("a = Greater(x, half) y = Cast <to = 1> (a)", 0, 1, True),
        ("a = Sigmoid(x) b = Greater(a, half) y = Where(b, one, zero)", 0, 1, True),
        ("y = LogSoftmax <axis = 1> (x)", -INFINITE, INFINITE, False),
        ("a = Sigmoid(x) y = Mul(x, a)", -INFINITE, INFINITE, False),
        ("a = Sigmoid(x) y = Conv(a, w)", -INFINITE, INFINITE, False),
        ("y = Relu(x)", 0, INFINITE, False),
        ("a = Sigmoid(x) y = Div(a, zero)", 0, INFINITE, False),
    ],
)  # fmt: skip
def test_what_the_last_operators_say(nodes: str, low: float, high: float, whole: bool) -> None:
    model = parsed(
        f"g (float[n, 3, h, w] x) => (float y) {{ {nodes} }}",
        one=np.float32(1), half=np.float32(0.5), zero=np.float32(0), scales=np.array([1, 1, 2, 2], np.float32),
        w=np.ones((3, 3, 1, 1), np.float32),
    )  # fmt: skip
    found = output_range(model, "y")
    assert (found.low, found.high, found.whole) == (low, high, whole)
    assert found.is_probability == ((low, high, whole) == (0, 1, False))


def test_deep_graphs_are_not_followed_to_their_end() -> None:
    chain = " ".join(f"v{index + 1} = Add(v{index}, v{index})" for index in range(3000))
    model = parsed(f"g (float[n] x) => (float y) {{ v0 = Sigmoid(x) {chain} y = Identity(v3000) }}")
    assert output_range(model, "y").high == INFINITE
