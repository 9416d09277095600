"""A package of nothing but its manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from segship.core.artifacts import TensorInfo
from segship.core.files import digest
from segship.core.manifest import Manifest
from segship.core.spec import ModelSpec
from segship.core.target import Target


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"network")
    spec = ModelSpec(source="mmseg", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 2, 3)))
    Manifest(
        spec=spec,
        target=Target.parse("onnxruntime_dynamic"),
        inputs=(TensorInfo(name="image", dtype="float32", shape=("n", 3, "h", "w")),),
        outputs=(TensorInfo(name="logits", dtype="float32", shape=("n", 2, "h", "w")),),
        files={"model.onnx": digest(tmp_path / "model.onnx")},
    ).write(tmp_path)
    return tmp_path
