from __future__ import annotations

import re

import numpy as np
import onnxruntime
import pytest

from segship.core.errors import UnsupportedError
from segship.onnxgraph.passes.lower_opset import lower_opset
from support.onnx_models import kinds, parsed

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(1, 6, 8, 10)).astype(np.float32)


@pytest.mark.parametrize(
    ("body", "shape", "weights"),
    [
        ("y = ReduceMean(x, axes)", "[1, 6, 1, 1]", {"axes": np.array([2, 3])}),
        ("y = ReduceMax<keepdims = 0>(x, axes)", "[1, 8, 10]", {"axes": np.array([1])}),
        ("a, b = Split<axis = 1, num_outputs = 2>(x) y = Mul(a, b)", "[1, 3, 8, 10]", {}),
        ("y = Gelu(x)", "[1, 6, 8, 10]", {}),
        ('y = Gelu<approximate = "tanh">(x)', "[1, 6, 8, 10]", {}),
        (
            'y = Resize<axes = [2, 3], mode = "linear", coordinate_transformation_mode = "half_pixel">(x, , , sizes)',
            "[1, 6, 16, 5]",
            {"sizes": np.array([16, 5])},
        ),
        ("y = AveragePool<kernel_shape = [2, 2], dilations = [1, 1]>(x)", "[1, 6, 7, 9]", {}),
        ("a = Cast<to = 11, saturate = 1>(x) y = Cast<to = 1>(a)", "[1, 6, 8, 10]", {}),
    ],
)
def test_an_older_opset_computes_the_same(body: str, shape: str, weights: dict[str, np.ndarray]) -> None:
    text = f"g (float[1, 6, 8, 10] x) => (float{shape} y) {{ {body} }}"
    model, original = parsed(text, **weights), parsed(text, **weights)
    assert lower_opset(model, 17)
    assert model.opset_import[0].version == 17
    # ONNX Runtime checks every operator against the opset that the file names.
    expected, found = (
        onnxruntime.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"x": IMAGE}
        )[0]
        for each in (original, model)
    )
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-6


def test_what_is_old_already_stays() -> None:
    model = parsed("g (float[1, 6] x) => (float[1, 6] y) { y = Relu(x) }", opset=17)
    assert not lower_opset(model, 19)
    assert kinds(model) == ["Relu"]
    assert model.opset_import[0].version == 17


@pytest.mark.parametrize(
    ("body", "opset", "message"),
    [
        ("y = AveragePool<kernel_shape = [2, 2], dilations = [2, 2]>(x)", 17, "AveragePool 'y' cannot .* dilations="),
        ("y = ReduceMean(x, axes)", 17, "ReduceMean 'y' cannot .* axes is computed while it runs"),
        ("y = Mish(x)", 17, "Mish 'y' cannot .* no such operator"),
    ],
)
def test_what_the_older_opset_lacks_is_refused_by_name(body: str, opset: int, message: str) -> None:
    inputs = "float[1, 6, 8, 10] x" + (", int64[2] axes" if "axes" in body else "")
    model = parsed(f"g ({inputs}) => (float[n, c, h, w] y) {{ {body} }}")
    with pytest.raises(UnsupportedError) as refused:
        lower_opset(model, opset)
    assert re.search(message, str(refused.value))
