from __future__ import annotations

from segship.onnxgraph.passes.name_dimensions import name_dimensions
from segship.onnxgraph.ports import inputs_of, outputs_of
from support.onnx_models import parsed


def test_free_sides_get_the_names_people_expect() -> None:
    model = parsed("g (float[s0, 3, s1, 64] x) => (float[s0, 5, s2, 16] y) { y = Identity(x) }")
    assert name_dimensions(model)
    assert inputs_of(model)[0].shape == ("batch", 3, "height", 64)
    assert outputs_of(model)[0].shape == ("batch", 5, "logits_height", 16)


def test_fixed_sides_stay() -> None:
    model = parsed("g (float[1, 3, 8, 8] x) => (float[1, 3, 8, 8] y) { y = Identity(x) }")
    assert not name_dimensions(model)
    assert inputs_of(model)[0].shape == (1, 3, 8, 8)
