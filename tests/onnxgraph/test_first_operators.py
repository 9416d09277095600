"""Which pixels a graph that normalises by itself takes."""

from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.first_operators import range_of_pixels
from support.onnx_models import parsed

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)
HUGE = np.full((1, 3, 1, 1), 1e6, np.float32)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("a = Sub(x, m255) b = Div(a, s255) y = Conv(b, w)", "none"),
        ("a = Sub(x, m) b = Div(a, s) y = Conv(b, w)", "unit"),
        ("a = Div(x, byte) y = Conv(a, w)", "none"),
        ("a = Div(x, byte) b = Sub(a, m) c = Div(b, s) y = Conv(c, w)", "none"),
        ("a = Transpose <perm = [0, 1, 3, 2]> (x) b = Mul(a, two) c = Sub(b, one) y = Conv(c, w)", "unit"),
        ("a = Sub(x, m255) y = Conv(a, w)", "none"),
        ("a = Sub(x, m) y = Conv(a, w)", "unit"),
        ("y = Conv(x, w)", None),
        ("a = Cast <to = 1> (x) y = Conv(a, w)", None),
        ("a = Div(x, huge) y = Conv(a, w)", None),
        ("a = Sub(m, x) y = Conv(a, w)", None),
        ("a = Sub(x, x) y = Conv(a, w)", None),
        ("a = Mul(x, two) b = Conv(a, w) c = Conv(x, w) y = Add(b, c)", None),
    ],
)
def test_the_first_operators_tell(nodes: str, expected: str | None) -> None:
    weights = {"m": MEAN, "s": STD, "m255": 255 * MEAN, "s255": 255 * STD, "huge": HUGE}
    numbers = {"byte": np.float32(255), "two": np.float32(2), "one": np.float32(1)}
    model = parsed(
        f"g (float[n, 3, h, w] x) => (float[n, 3, h, w] y) {{ {nodes} }}",
        **weights,
        **numbers,
        w=np.ones((3, 3, 1, 1), np.float32),
    )
    assert range_of_pixels(model, "x") == expected
