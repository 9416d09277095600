from __future__ import annotations

import numpy as np

from segship.onnxgraph.passes.channels_first import channels_first
from segship.onnxgraph.ports import inputs_of, outputs_of
from support.onnx_models import computed, parsed

IMAGE = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)


def test_either_end_is_transposed() -> None:
    model = parsed("g (float[n, h, w, 3] x) => (float[n, h, w, 3] y) { y = Neg(x) }")
    assert channels_first(model, "x")
    assert channels_first(model, "y")
    (image,), (scores,) = inputs_of(model), outputs_of(model)
    assert image.shape == scores.shape == ("n", 3, "h", "w")
    first = IMAGE.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(computed(model, **{image.name: first}), -first)
