from __future__ import annotations

import numpy as np
import pytest

from segship.onnxgraph.passes.one_hot_labels import one_hot_labels
from segship.onnxgraph.ports import outputs_of
from support.onnx_models import computed, parsed


@pytest.mark.parametrize(("kind", "sides"), [("int64", "n, h, w"), ("uint8", "n, h, w"), ("int32", "n, 1, h, w")])
def test_labels_become_one_for_their_class_and_zero_for_all_others(kind: str, sides: str) -> None:
    model = parsed(f"g ({kind}[{sides}] x) => ({kind}[{sides}] labels) {{ labels = Identity(x) }}")
    assert one_hot_labels(model, outputs_of(model)[0], 4)
    (scores,) = outputs_of(model)
    assert (scores.dtype, scores.shape[1]) == ("float32", 4)
    labels = np.random.default_rng(0).integers(0, 4, (2, 3, 5))
    given = labels.reshape(2, *([1] if "1" in sides else []), 3, 5).astype(kind)
    np.testing.assert_array_equal(computed(model, x=given), np.eye(4, dtype=np.float32)[labels].transpose(0, 3, 1, 2))
