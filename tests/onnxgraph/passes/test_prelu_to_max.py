from __future__ import annotations

import numpy as np
import onnx
import pytest

from segship.onnxgraph.passes.prelu_to_max import prelu_to_max
from support.onnx_models import computed, kinds, parsed


def prelu(slopes: list[float], rest: str = "logits = Identity(a)") -> onnx.ModelProto:
    return parsed(
        f"""g (float[batch, 3, height, width] image) => (float[batch, 3, height, width] logits) {{
            a = PRelu(image, slopes)
            {rest}
        }}""",
        slopes=np.array(slopes, np.float32)[:, None, None],
    )


@pytest.mark.parametrize(("slopes", "changed"), [([0.25, 1.0, -0.5], True), ([0.25, 1.5, -0.5], False)])
def test_prelu_is_a_product_and_a_maximum_with_the_same_bits(slopes: list[float], changed: bool) -> None:
    model = prelu(slopes)
    assert prelu_to_max(model) == changed
    assert kinds(model) == [*(["Mul", "Max"] if changed else ["PRelu"]), "Identity"]
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    expected = np.where(x > 0, x, np.array(slopes, np.float32)[:, None, None] * x)
    np.testing.assert_array_equal(computed(model, image=x), expected)


def test_quantised_slopes_keep_it() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
    quantised (float[n, 3, h, w] image, int8[3, 1, 1] steep) => (float[n, 3, h, w] logits) {
        scale = Constant<value_float = 0.1>()
        slope = DequantizeLinear(steep, scale)
        logits = PRelu(image, slope)
    }"""
    model = onnx.parser.parse_model(text)
    assert not prelu_to_max(model)
    assert kinds(model)[-1] == "PRelu"


def test_float_slopes_in_a_quantised_graph_are_rewritten() -> None:
    constants = "scale = Constant<value_float = 1.0>()  zero = Constant<value = int8 {0}>()"
    model = prelu(
        [0.5] * 3, f"{constants} q = QuantizeLinear(a, scale, zero) logits = DequantizeLinear(q, scale, zero)"
    )
    assert prelu_to_max(model)
    assert kinds(model)[:2] == ["Mul", "Max"]


def test_slopes_that_lie_beside_the_file_are_not_known() -> None:
    model = prelu([0.5] * 3)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    assert not prelu_to_max(model)
