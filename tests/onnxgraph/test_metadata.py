from __future__ import annotations

from segship.onnxgraph.metadata import metadata_of, set_metadata
from support.onnx_models import parsed


def test_metadata_is_replaced_as_a_whole() -> None:
    model = parsed("g (float[1] x) => (float[1] y) { y = Neg(x) }")
    assert metadata_of(model) == {}
    set_metadata(model, {"a": "1", "b": "2"})
    set_metadata(model, {"b": "3"})
    assert metadata_of(model) == {"b": "3"}
