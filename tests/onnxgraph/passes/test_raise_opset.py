from __future__ import annotations

import numpy as np
import pytest

from segship.core.errors import UnsupportedError
from segship.onnxgraph.passes.raise_opset import raise_opset
from support.onnx_models import computed, parsed

BODY = "g (float[n, 3] x) => (float[n, 1] y) { y = ReduceMax <axes = [1], keepdims = 1> (x) }"


def test_a_graph_of_an_older_opset_is_converted() -> None:
    model = parsed(BODY, opset=17)
    assert raise_opset(model, 18)
    assert model.opset_import[0].version >= 18
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(computed(model, x=image), [[2], [5]])
    assert not raise_opset(model, 18)


def test_what_cannot_be_converted_is_told() -> None:
    model = parsed(BODY, opset=17)
    model.graph.node[0].op_type = "Reduce"
    with pytest.raises(UnsupportedError, match="of opset 17, what is added to it needs 18, and it cannot"):
        raise_opset(model, 18)
