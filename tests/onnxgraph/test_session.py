from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph import file as onnx_file
from segship.onnxgraph.session import open_model
from support.onnx_models import parsed

WEIGHT = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)


@pytest.mark.parametrize("limit", [onnx_file.LARGEST, 0], ids=["in memory", "through a file"])
def test_a_model_of_any_size_runs(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", limit)
    session = open_model(parsed("g (float[n, 40] x) => (float[n, 40] y) { y = MatMul(x, weight) }", weight=WEIGHT))
    x = np.eye(40, dtype=np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], WEIGHT)
