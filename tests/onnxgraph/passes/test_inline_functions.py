from __future__ import annotations

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from segship.onnxgraph import file as onnx_file
from segship.onnxgraph.passes.inline_functions import inline_functions
from support.onnx_models import computed, kinds, parsed

WEIGHT = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)


@pytest.mark.parametrize("limit", [onnx_file.LARGEST, 0], ids=["small", "large"])
def test_functions_become_their_nodes(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", limit)
    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20, "own" : 1]>
    g (float[n, 40] x) => (float[n, 40] y) {
        y = own.layer(x, weight)
    }
    <domain: "own", opset_import: ["" : 20]>
    layer (a, w) => (b) {
        c = MatMul(a, w)
        b = Relu(c)
    }""")
    model.graph.initializer.append(numpy_helper.from_array(WEIGHT, "weight"))
    x = np.eye(40, dtype=np.float32)
    expected = computed(model, x=x)
    assert inline_functions(model)
    assert (kinds(model), len(model.functions)) == (["MatMul", "Relu"], 0)
    np.testing.assert_array_equal(computed(model, x=x), expected)
    assert not inline_functions(model)


def test_a_model_without_functions_stays() -> None:
    model = parsed("g (float[1] x) => (float[1] y) { y = Neg(x) }")
    assert not inline_functions(model)
