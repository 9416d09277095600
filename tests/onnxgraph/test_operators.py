from __future__ import annotations

import numpy as np
from onnx import helper

from segship.onnxgraph.operators import foreign_operators, nodes_of, operators_of, products_of_constants
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


def test_products_of_constants_that_are_no_weights() -> None:
    model = parsed(
        """g (float[1, 4, 4] x) => (float[1, 4, 4] y) {
            a = MatMul(x, weight)
            b = MatMul(weight, a)
            c = MatMul(b, batch)
            y = MatMul(c, x)
        }""",
        weight=np.zeros((4, 4), np.float32),
        batch=np.zeros((1, 4, 4), np.float32),
    )
    for node in model.graph.node:
        node.name = node.output[0]
    assert products_of_constants(model) == ["b", "c"]
