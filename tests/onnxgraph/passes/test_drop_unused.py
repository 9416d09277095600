from __future__ import annotations

import numpy as np

from segship.onnxgraph.passes.drop_unused import drop_unused
from segship.onnxgraph.weights import ArrayWeight, Weights
from support.onnx_models import computed, initializers, kinds, parsed

ONE = np.ones(1, np.float32)


def test_what_no_output_depends_on_goes() -> None:
    model = parsed(
        """g (float[1] x) => (float[1] y) {
            a = Add(x, used)
            b = Mul(a, unused)
            c = Relu(b)
            y = Neg(a)
        }""",
        used=ONE,
        unused=ONE,
    )
    assert drop_unused(model)
    assert (kinds(model), list(initializers(model))) == (["Add", "Neg"], ["used"])
    assert not drop_unused(model)


def test_what_only_a_branch_reads_stays() -> None:
    model = parsed(
        """g (float[1] x, bool c) => (float[1] y) {
            a = Add(x, outer)
            y = If(c) <
                then_branch = t () => (float[1] p) { p = Neg(a) },
                else_branch = e () => (float[1] q) { q = Add(x, inner) }
            >
        }""",
        outer=ONE,
        inner=3 * ONE,
    )
    assert not drop_unused(model)
    assert computed(model, x=ONE, c=np.bool_(1)) == -2
    assert computed(model, x=ONE, c=np.bool_(0)) == 4


def test_weights_that_are_kept_apart_go_as_well() -> None:
    weights: Weights = {"used": ArrayWeight(ONE), "unused": ArrayWeight(ONE)}
    model = parsed("g (float[1] x) => (float[1] y) { y = Add(x, used) }", used=ONE)
    del model.graph.initializer[:]
    assert drop_unused(model, weights)
    assert list(weights) == ["used"]
