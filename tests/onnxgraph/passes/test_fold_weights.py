"""Parts of weights become weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from segship.onnxgraph.passes.fold_weights import fold_weights


def model() -> onnx.ModelProto:
    """Two 1x1 convolutions whose weights are halves of one, and a product with a turned matrix."""
    nodes = [
        helper.make_node("Split", ["weight"], ["left", "right"], axis=1, num_outputs=2),
        helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2),
        helper.make_node("Conv", ["a", "left"], ["c"], name="first"),
        helper.make_node("Conv", ["b", "right"], ["d"], name="second"),
        helper.make_node("Add", ["c", "d"], ["e"]),
        helper.make_node("Transpose", ["matrix"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["e", "turned"], ["y"], name="third"),
    ]
    random = np.random.default_rng(0)
    weights = {"weight": (3, 4, 1, 1), "matrix": (2, 5)}
    values = [numpy_helper.from_array(random.random(shape, np.float32), name) for name, shape in weights.items()]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5, 5])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 5, 2])
    graph = helper.make_graph(nodes, "g", [given], [found], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_parts_of_weights_are_constants_and_the_result_stays() -> None:
    image = {"x": np.random.default_rng(1).random((1, 4, 5, 5), np.float32)}
    expected = ReferenceEvaluator(model()).run(None, image)[0]
    folded = model()
    assert fold_weights(folded)
    assert not fold_weights(onnx.ModelProto())
    assert [node.op_type for node in folded.graph.node] == ["Split", "Conv", "Conv", "Add", "MatMul"]
    assert {tensor.name for tensor in folded.graph.initializer} == {"left", "right", "turned"}
    np.testing.assert_allclose(ReferenceEvaluator(folded).run(None, image)[0], expected, rtol=1e-6)
