from __future__ import annotations

import numpy as np

from segship.onnxgraph.passes.name_layers import name_layers
from segship.onnxgraph.weights import ArrayWeight, Weights
from support.onnx_models import parsed

WEIGHT = np.ones((1, 1, 1, 1), np.float32)


def test_layers_are_called_like_their_weights_and_the_rest_like_its_result() -> None:
    names = ("head__conv__weight", "stem__normalised__weight")
    model = parsed(
        """g (float[1, 1, 2, 2] x) => (float[1, 1, 2, 2] y) {
            a = Conv(x, stem__normalised__weight)
            b = Relu(a)
            c = Conv(b, head__conv__weight)
            y = Conv(c, head__conv__weight)
        }""",
        **dict.fromkeys(names, WEIGHT),
    )
    weights: Weights = {name.replace("__", "."): ArrayWeight(WEIGHT) for name in names}
    assert name_layers(model, weights)
    assert [node.name for node in model.graph.node] == ["stem", "b", "head.conv", "head.conv.again"]
