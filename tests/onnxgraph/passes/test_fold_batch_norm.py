from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import numpy_helper

from segship.onnxgraph.file import split
from segship.onnxgraph.passes import fold_batch_norm as module
from segship.onnxgraph.passes.fold_batch_norm import fold_batch_norm
from segship.onnxgraph.weights import ArrayWeight, Weights
from support.onnx_models import computed, kinds, parsed

if TYPE_CHECKING:
    import onnx

RANDOM = np.random.default_rng(0)


def norm(channels: int, prefix: str = "n") -> dict[str, np.ndarray]:
    values = {name: RANDOM.normal(size=channels) for name in ("gamma", "beta", "mean")}
    values["variance"] = RANDOM.uniform(0.5, 2, channels)
    return {f"{prefix}__{name}": value.astype(np.float32) for name, value in values.items()}


def apart(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Weights]:
    """The model without its weights, small ones included."""
    rest, _ = split(model)
    weights: Weights = {tensor.name: ArrayWeight(numpy_helper.to_array(tensor)) for tensor in rest.graph.initializer}
    del rest.graph.initializer[:]
    return rest, weights


def together(model: onnx.ModelProto, weights: Weights) -> onnx.ModelProto:
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(weight.numpy(), name) for name, weight in weights.items() if name in used
    )
    return model


NORM = "BatchNormalization<epsilon = 1e-3>"


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("Conv(x, c__weight)", (6, 4, 3, 3)),
        ("Conv(x, c__weight, c__bias)", (6, 4, 3, 3)),
        ("Conv<group = 2>(x, c__weight)", (6, 2, 3, 3)),
        ("ConvTranspose(x, c__weight)", (4, 6, 3, 3)),
    ],
)
def test_a_convolution_takes_up_the_normalisation_behind_it(layer: str, shape: tuple[int, ...]) -> None:
    weights = {"c__weight": RANDOM.normal(size=shape).astype(np.float32), **norm(6)}
    if "bias" in layer:
        weights["c__bias"] = RANDOM.normal(size=6).astype(np.float32)
    model = parsed(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 6, h, w] y) {{
            a = {layer}
            y = {NORM}(a, n__gamma, n__beta, n__mean, n__variance)
        }}""",
        **weights,
    )
    x = RANDOM.normal(size=(1, 4, 5, 5)).astype(np.float32)
    expected = computed(model, x=x)
    rest, kept = apart(model)
    assert fold_batch_norm(rest, kept)
    assert kinds(rest) == [layer.partition("(")[0].partition("<")[0]]
    np.testing.assert_allclose(computed(together(rest, kept), x=x), expected, rtol=1e-4, atol=1e-5)


def test_two_normalisations_in_a_row_are_both_folded() -> None:
    weight = RANDOM.normal(size=(6, 4, 1, 1)).astype(np.float32)
    model = parsed(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 6, 5, 5] y) {{
            a = Conv(x, c__weight)
            b = {NORM}(a, n__gamma, n__beta, n__mean, n__variance)
            y = {NORM}(b, m__gamma, m__beta, m__mean, m__variance)
        }}""",
        c__weight=weight,
        **norm(6),
        **norm(6, "m"),
    )
    x = RANDOM.normal(size=(1, 4, 5, 5)).astype(np.float32)
    expected = computed(model, x=x)
    rest, kept = apart(model)
    fold_batch_norm(rest, kept)
    assert kinds(rest) == ["Conv"]
    np.testing.assert_allclose(computed(together(rest, kept), x=x), expected, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_used_twice_has_folded_weights_of_either_use() -> None:
    weight = RANDOM.normal(size=(4, 4, 1, 1)).astype(np.float32)
    model = parsed(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y) {{
            a = Conv(x, c__weight)
            b = {NORM}(a, n__gamma, n__beta, n__mean, n__variance)
            c = Conv(b, c__weight)
            y = {NORM}(c, m__gamma, m__beta, m__mean, m__variance)
        }}""",
        c__weight=weight,
        **norm(4),
        **norm(4, "m"),
    )
    x = RANDOM.normal(size=(1, 4, 5, 5)).astype(np.float32)
    expected = computed(model, x=x)
    rest, kept = apart(model)
    fold_batch_norm(rest, kept)
    assert [list(node.input[1:]) for node in rest.graph.node] == [
        [f"c{module.NORMALISED}.weight", f"c{module.NORMALISED}.bias"],
        [f"c{module.NORMALISED}.weight.again", f"c{module.NORMALISED}.bias.again"],
    ]
    np.testing.assert_allclose(computed(together(rest, kept), x=x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("other", ["z = Neg(a)", "z = Identity(y)"])
def test_a_result_that_something_else_uses_stays(other: str) -> None:
    model = parsed(
        f"""g (float[1, 4, 5, 5] x) => (float[1, 4, 5, 5] y, float[1, 4, 5, 5] z) {{
            a = Conv(x, c__weight)
            y = {NORM}(a, n__gamma, n__beta, n__mean, n__variance)
            {other}
        }}""",
        c__weight=np.ones((4, 4, 1, 1), np.float32),
        **norm(4),
    )
    rest, kept = apart(model)
    assert fold_batch_norm(rest, kept) == ("a" not in other.partition("(")[2])
