from __future__ import annotations

from segship.onnxgraph.passes.name_nodes import name_nodes
from support.onnx_models import parsed


def test_nodes_without_a_name_of_their_own_are_called_like_their_output() -> None:
    model = parsed("g (float[1] x) => (float[1] y) { a = Neg(x)  b = Neg(a)  y = Neg(b) }")
    model.graph.node[0].name = model.graph.node[1].name = "first"
    assert name_nodes(model)
    assert [node.name for node in model.graph.node] == ["first", "b", "y"]
    assert not name_nodes(model)
