from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from segship.backends import openvino as backend
from segship.core.artifacts import Graph, TensorInfo
from segship.core.errors import SegshipWarning
from segship.core.target import Target

pytest.importorskip("openvino", reason="OpenVINO is not installed here")


def doubling(path: Path) -> Graph:
    import onnx.parser

    model = onnx.parser.parse_model("""<ir_version: 10, opset_import: ["" : 20]>
    doubling (float[n, 3, h, w] image) => (float[n, 3, h, w] logits) { logits = Add(image, image) }""")
    onnx.save(model, path)
    image, logits = (TensorInfo(name=name, dtype="float32", shape=("n", 3, "h", "w")) for name in ("image", "logits"))
    return Graph(path, "onnx", (image,), (logits,))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("abilities", [["FP32", "INT8"], ["FP32", "BF16"]])
def test_bfloat16_that_the_processor_lacks_is_told(
    precision: str, abilities: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_abilities", lambda _: abilities)
    target = Target.parse(f"openvino-{precision}_dynamic" if precision != "fp32" else "openvino_dynamic")
    engine = backend.convert(doubling(tmp_path / "model.onnx"), target, tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        session = backend.open(engine)
    assert [warning.category for warning in told] == [SegshipWarning] * (
        precision == "bf16" and "BF16" not in abilities
    )
    assert (session.run({"image": np.ones((1, 3, 2, 2), np.float32)})["logits"] == 2).all()


def test_bfloat16_is_told_of_where_this_processor_lacks_it(tmp_path: Path) -> None:
    import openvino

    engine = backend.convert(doubling(tmp_path / "model.onnx"), Target.parse("openvino-bf16_dynamic"), tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        backend.open(engine)
    lacks = "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert [warning.category for warning in told] == [SegshipWarning] * lacks
