from __future__ import annotations

import numpy as np

from segship.onnxgraph.passes.rename_values import rename_values
from support.onnx_models import computed, parsed

ONE = np.ones(1, np.float32)


def test_a_value_is_renamed_wherever_it_is_used_and_who_has_the_name_gives_way() -> None:
    model = parsed(
        """g (float[1] x, bool c) => (float[1] y) {
            image = Add(x, one)
            y = If(c) <
                then_branch = t () => (float[1] p) { p = Neg(image) },
                else_branch = e () => (float[1] q) { q = Sub(x, one) }
            >
        }""",
        one=ONE,
    )
    assert rename_values(model, {"x": "image", "y": "logits", "one": "two"})
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["image", "c", "logits"]
    assert model.graph.node[0].output == ["image_before"]
    assert computed(model, image=3 * ONE, c=np.bool_(1)) == -4
    assert computed(model, image=3 * ONE, c=np.bool_(0)) == 2


def test_names_that_do_not_occur_change_nothing() -> None:
    model = parsed("g (float[1] x) => (float[1] y) { y = Neg(x) }")
    before = model.SerializeToString()
    assert not rename_values(model, {"a": "b"})
    assert model.SerializeToString() == before
