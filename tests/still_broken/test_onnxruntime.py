"""Faults of ONNX Runtime that Segship works around; a test that passes says that its workaround can go."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from support.onnx_models import parsed

TEXT = """g (float[1, 3, 4, 4] x) => (float[n, 3] y) {
    q = QuantizeLinear(x, scale, zero)
    d = DequantizeLinear(q, scale, zero)
    t = Transpose<perm=[0, 2, 3, 1]>(d)
    y = Reshape(t, shape)
}"""


@pytest.mark.xfail(reason="drop onnxgraph/passes/unsigned_activations.py when this passes")
def test_a_signed_pair_before_a_transposition_opens() -> None:
    values = {"scale": np.array(0.1, np.float32), "zero": np.array(0, np.int8), "shape": np.array([-1, 3])}
    model = parsed(TEXT, **values)
    model.opset_import[0].version = 23
    onnxruntime.InferenceSession(model.SerializeToString())


@pytest.mark.xfail(reason="drop onnxgraph/passes/pads_with_axes.py when this passes")
def test_maxima_see_the_border_that_a_pad_made() -> None:
    text = """g (float[1, 1, 4, 4] x) => (float[1, 1, 4, 4] y) {
        p = Pad(x, pads)
        y = MaxPool<kernel_shape=[3, 3]>(p)
    }"""
    model = parsed(text, pads=np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.full((1, 1, 4, 4), -1, np.float32)})[0][0, 0, 0, 0] == 0
