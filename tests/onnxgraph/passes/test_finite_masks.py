from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.finite_masks import finite_masks
from support.onnx_models import computed, parsed

MASKED = "m = Add(image, mask) logits = Softmax(m)"
CHOSEN = "m = Where(cells, far, image) logits = Softmax(m)"


def network(lines: str) -> str:
    return f"g (float[2, 4] image) => (float[2, 4] logits) {{ {lines} }}"


@pytest.mark.parametrize("lines", [MASKED, CHOSEN])
def test_cells_stay_left_out_of_a_softmax(lines: str) -> None:
    cells = np.array([True, False, False, True])
    constants = {"mask": np.where(cells, -np.inf, 0).astype(np.float32), "cells": cells, "far": np.float32(-np.inf)}
    given = {name: np.asarray(value) for name, value in constants.items() if name in lines}
    before, model = parsed(network(lines), 20, **given), parsed(network(lines), 20, **given)
    assert finite_masks(model)
    x = np.random.default_rng(0).normal(scale=20, size=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(computed(model, image=x), computed(before, image=x))
    assert not finite_masks(model), "it is done once"


@pytest.mark.parametrize(
    "lines", ["m = Add(image, mask) logits = Softmax(m)", "m = Max(image, far) logits = Softmax(m)"]
)
def test_what_is_something_else_stays(lines: str) -> None:
    given = {"mask": np.zeros(4, np.float32), "far": np.full(4, -np.inf, np.float32)}
    model = parsed(network(lines), 20, **{name: value for name, value in given.items() if name in lines})
    before = model.SerializeToString()
    assert not finite_masks(model)
    assert model.SerializeToString() == before
