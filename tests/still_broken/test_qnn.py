"""Faults of onnxruntime-qnn that Segship works around; a test that passes says that its workaround can go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segship.backends import qnn
from segship.core.artifacts import Graph, TensorInfo
from segship.core.target import Target
from segship.onnxgraph.file import save
from segship.toolchains.qnn import TOOLCHAIN
from support.onnx_models import parsed


@pytest.mark.skipif(not TOOLCHAIN.environment().ready, reason="no environment of onnxruntime-qnn is here")
@pytest.mark.xfail(reason="drop onnxgraph/passes/join_hard_swish.py when this passes")
def test_a_hard_swish_in_two_parts_is_right_in_float16(tmp_path: Path) -> None:
    model = parsed(
        """g (float[1, 3, 16, 16] image) => (float[1, 3, 16, 16] logits) {
            a = Cast<to = 10>(image)
            h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(a)
            m = Mul(a, h)
            logits = Cast<to = 1>(m)
        }""",
        20,
    )
    for node in model.graph.node:
        node.name = f"layer.{node.output[0]}"
    save(model, tmp_path / "graph.onnx")
    image = TensorInfo(name="image", dtype="float32", shape=(1, 3, 16, 16))
    graph = Graph(tmp_path / "graph.onnx", "onnx", (image,), (image.model_copy(update={"name": "logits"}),))
    (tmp_path / "engine").mkdir()
    x = np.random.default_rng(0).normal(scale=3, size=(1, 3, 16, 16)).astype(np.float32)
    with qnn.open(qnn.convert(graph, Target.parse("qnn-fp16_static-16x16"), tmp_path / "engine")) as session:
        found = session.run({"image": x})["logits"]
    np.testing.assert_allclose(found, x * np.clip(x / 6 + 0.5, 0, 1), atol=0.02)
