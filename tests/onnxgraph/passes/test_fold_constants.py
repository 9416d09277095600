from __future__ import annotations

import numpy as np
import pytest

from segship.core.errors import UnsupportedError
from segship.onnxgraph import file as onnx_file
from segship.onnxgraph.operators import foreign_operators
from segship.onnxgraph.passes.fold_constants import fold_constants
from support.onnx_models import computed, kinds, parsed

TEXT = """g (float[n, 3, h, w] x) => (float[n, 2, h, w] y) {
    shape = Constant<value_ints = [1, 2, 1, 1]>()
    a = Conv(x, weight)
    b = Reshape(bias, shape)
    y = Add(a, b)
}"""
WEIGHTS = {"weight": np.ones((2, 3, 1, 1), np.float32), "bias": np.array([0.5, -1], np.float32)}
X = np.random.default_rng(0).normal(size=(1, 3, 4, 4)).astype(np.float32)


def test_what_is_computed_of_constants_becomes_one() -> None:
    model = parsed(TEXT, **WEIGHTS)
    expected = computed(model, x=X)
    assert fold_constants(model)
    assert "Reshape" not in kinds(model)
    assert foreign_operators(model) == []
    assert [entry.domain for entry in model.opset_import] == [""]
    np.testing.assert_allclose(computed(model, x=X), expected, rtol=1e-6)


def test_a_model_too_large_for_one_message_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 0)
    model = parsed(TEXT, **WEIGHTS)
    assert not fold_constants(model)
    assert model == parsed(TEXT, **WEIGHTS)


def test_a_graph_that_does_not_run_is_refused() -> None:
    model = parsed(TEXT, **WEIGHTS)
    model.graph.node[1].op_type = "Unheard"
    with pytest.raises(UnsupportedError, match=r"ONNX Runtime refuses the graph: .*Unheard"):
        fold_constants(model)
