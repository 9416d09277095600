from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.normalize_before_joining import normalize_before_joining, normalize_convolutions
from support.onnx_models import computed, kinds, parsed

RNG = np.random.default_rng(0)
SHAPES = "float[1, 2, 4, 5] small, float[1, 3, 4, 5] large"
FEEDS = {
    "small": RNG.normal(size=(1, 2, 4, 5)).astype(np.float32),
    "large": (RNG.normal(size=(1, 3, 4, 5)) * 100).astype(np.float32),
}
NORM = {name: RNG.uniform(0.5, 2, 5).astype(np.float32) for name in ("scale", "bias", "mean", "var")}
BN = "n = BatchNormalization(j, scale, bias, mean, var)"


@pytest.mark.parametrize(
    ("body", "slope", "expected"),
    [
        (f"{BN} y = PRelu(n, slope)", (5, 1, 1), ["BatchNormalization"] * 2 + ["PRelu"] * 2 + ["Concat"]),
        (f"{BN} y = PRelu(n, slope)", (1, 5, 1, 1), ["BatchNormalization"] * 2 + ["PRelu"] * 2 + ["Concat"]),
        (f"{BN} y = PRelu(n, slope)", (1,), ["BatchNormalization"] * 2 + ["PRelu"] * 2 + ["Concat"]),
        # Slopes along the width are no slopes of channels.
        (f"{BN} y = PRelu(n, slope)", (5,), ["BatchNormalization"] * 2 + ["Concat", "PRelu"]),
        # What is joined is read elsewhere, too.
        (f"{BN} y = Add(n, j)", (1,), ["Concat", "BatchNormalization", "Add"]),
    ],
)
def test_each_part_is_normalised_before_it_is_joined_with_the_same_result(
    body: str, slope: tuple[int, ...], expected: list[str]
) -> None:
    text = f"g ({SHAPES}) => (float[1, 5, 4, 5] y) {{ j = Concat<axis = 1>(small, large) {body} }}"
    weights = NORM | {"slope": RNG.uniform(0, 1, slope).astype(np.float32)}
    model, original = parsed(text, opset=19, **weights), parsed(text, opset=19, **weights)
    changed = expected[0] != "Concat"
    assert normalize_before_joining(model) == changed
    assert kinds(model) == expected
    # Operators in an order in which they run, and the values they had.
    assert np.allclose(computed(model, **FEEDS), computed(original, **FEEDS), rtol=1e-5, atol=1e-4)


def test_what_is_joined_along_another_axis_stays() -> None:
    model = parsed(
        "g (float[1, 5, 4, 5] a, float[1, 5, 4, 5] b) => (float[1, 5, 8, 5] n) { j = Concat<axis = 2>(a, b) "
        + BN
        + " }",
        opset=19,
        **NORM,
    )
    assert not normalize_before_joining(model)
    assert kinds(model) == ["Concat", "BatchNormalization"]


@pytest.mark.parametrize(
    ("second", "reader", "moved"),
    [
        ("Conv(large, wide)", "Relu(m)", True),
        ("Relu(large)", "Relu(m)", False),
        ("Conv(large, wide)", "Conv(m, last)", False),
    ],
    ids=["convolutions", "one is none", "read by a convolution"],
)
def test_for_eight_bits_it_is_moved_behind_convolutions_alone(second: str, reader: str, moved: bool) -> None:
    text = f"""g ({SHAPES}) => (float[1, 5, 4, 5] y) {{
        a = Conv(small, narrow) b = {second} j = Concat<axis = 1>(a, b) {BN} m = PRelu(n, slope) y = {reader}
    }}"""
    weights = NORM | {"narrow": np.ones((2, 2, 1, 1), np.float32), "slope": np.full((5, 1, 1), 0.2, np.float32)}
    weights |= {"wide": np.ones((3, 3, 1, 1), np.float32)} if "wide" in second else {}
    weights |= {"last": np.ones((5, 5, 1, 1), np.float32)} if "last" in reader else {}
    model, original = (parsed(text, opset=19, **weights) for _ in range(2))
    assert normalize_convolutions(model) == moved
    assert (kinds(model)[-2] == "Concat") == moved
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    assert np.allclose(computed(model, **FEEDS), computed(original, **FEEDS), rtol=1e-5, atol=1e-4)
