from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from segship.onnxgraph.passes.pads_with_axes import pads_with_axes
from support.onnx_models import computed, kinds, parsed

TEXT = """g (float[n, 1, h, w] image) => (float[n, 1, i, j] logits) {{
    padded = Pad{mode}({inputs})
    logits = MaxPool<kernel_shape=[3, 3], strides=[2, 2]>(padded)
}}"""
PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1])


@pytest.mark.parametrize("inputs", ["image, pads, value", "image, pads"])
def test_a_border_of_zeros_is_greater_than_negative_numbers(inputs: str) -> None:
    value = {"value": np.array(0, np.float32)} if "value" in inputs else {}
    model = parsed(TEXT.format(mode="", inputs=inputs), pads=PADS, **value)
    assert pads_with_axes(model)
    assert kinds(model) == ["Pad", "MaxPool"]
    x = np.full((1, 1, 5, 7), -1, np.float32)
    expected = np.zeros((1, 1, 3, 4), np.float32)
    expected[0, 0, 1, 1:3] = -1
    np.testing.assert_array_equal(computed(model, image=x), expected)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"image": x})[0], expected)
    assert not pads_with_axes(model)


def test_pads_that_repeat_the_border_are_left_alone() -> None:
    assert not pads_with_axes(parsed(TEXT.format(mode='<mode="edge">', inputs="image, pads"), pads=PADS))
