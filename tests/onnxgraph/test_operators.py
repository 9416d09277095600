from __future__ import annotations

from onnx import helper

from segship.onnxgraph.operators import foreign_operators, nodes_of, operators_of
from support.onnx_models import parsed

TEXT = """g (float[1] x, bool c) => (float[1] y) {
    y = If(c) <
        then_branch = t () => (float[1] p) { p = Neg(x) },
        else_branch = e () => (float[1] q) { q = Relu(x) }
    >
}"""


def test_nodes_of_branches_count() -> None:
    assert sorted(node.op_type for node in nodes_of(parsed(TEXT).graph)) == ["If", "Neg", "Relu"]
    assert operators_of(parsed(TEXT)) == {"If", "Neg", "Relu"}


def test_operators_of_other_domains_are_foreign() -> None:
    model = parsed(TEXT)
    assert foreign_operators(model) == []
    model.graph.node.append(helper.make_node("Neg", ["x"], ["a"], domain="ai.onnx"))
    model.graph.node.append(helper.make_node("grid_sampler", ["x"], ["b"], domain="mmdeploy"))
    assert foreign_operators(model) == ["mmdeploy::grid_sampler"]
