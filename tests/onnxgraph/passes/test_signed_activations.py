from __future__ import annotations

import numpy as np
import pytest

from segship.core.errors import BackendError
from segship.onnxgraph.passes.signed_activations import signed_activations
from support.onnx_models import computed, initializers, parsed

TEXT = """g (float[n] x) => (float[n] y) {
    q = QuantizeLinear(x, scale, zero)
    y = DequantizeLinear(q, scale, zero)
}"""


def test_values_to_255_become_values_to_127_of_the_same_range() -> None:
    model = parsed(TEXT, scale=np.array(2 / 255, np.float32), zero=np.array(0, np.uint8))
    assert signed_activations(model)
    values = initializers(model)
    assert values["zero"].dtype == np.int8
    np.testing.assert_allclose(values["scale"], 2 / 127, rtol=1e-6)
    x = np.array([-0.5, 0, 0.7, 2, 3], np.float32)
    # A step is 2/127; what is beyond the range is cut off at 127 steps.
    np.testing.assert_allclose(computed(model, x=x), np.minimum(np.round(x * 63.5), 127) * 2 / 127, rtol=1e-6)
    assert not signed_activations(model)


def test_a_zero_point_is_refused() -> None:
    model = parsed(TEXT, scale=np.array(1, np.float32), zero=np.array(3, np.uint8))
    with pytest.raises(BackendError, match="zero a zero point"):
        signed_activations(model)
