from __future__ import annotations

import numpy as np

from segship.onnxgraph.metadata import metadata_of, set_metadata
from segship.onnxgraph.passes.float16 import float16
from segship.onnxgraph.ports import inputs_of, outputs_of
from support.onnx_models import computed, initializers, parsed


def test_weights_are_half_as_wide_and_ports_and_metadata_stay() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    model = parsed("g (float[1, 3, 8, 8] x) => (float[1, 4, 6, 6] y) { y = Conv(x, weight) }", weight=weight)
    set_metadata(model, {"segship": "{}"})
    ports = inputs_of(model), outputs_of(model)
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    expected = computed(model, x=x)
    assert float16(model)
    np.testing.assert_array_equal(initializers(model)["weight"], weight.astype(np.float16))
    assert (inputs_of(model), outputs_of(model)) == ports
    assert metadata_of(model) == {"segship": "{}"}
    found = computed(model, x=x)
    assert found.dtype == np.float32
    # 27 products of eleven bits each, summed in as many.
    np.testing.assert_allclose(found, expected, atol=27 * 2.0**-11 * float(np.abs(weight).max()) * np.abs(x).max())
