from __future__ import annotations

from pathlib import Path

import numpy as np

from segship.onnxgraph.file import save
from segship.onnxgraph.text import text_of
from support.onnx_models import parsed


def test_operators_are_shown_and_weights_are_not(tmp_path: Path) -> None:
    model = parsed("g (float[2] x) => (float[2] y) { y = Add(x, w) }", w=np.array([12345, 1], np.float32))
    save(model, tmp_path / "model.onnx")
    text = text_of(tmp_path / "model.onnx")
    assert "y = Add (x, w)" in text
    assert "12345" not in text
