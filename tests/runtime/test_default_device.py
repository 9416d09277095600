"""A package of an engine that has no cpu is opened on what it has."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from segship.core.artifacts import TensorInfo
from segship.core.errors import BackendError
from segship.core.files import digest
from segship.core.manifest import Manifest
from segship.core.spec import ModelSpec
from segship.core.target import Target
from segship.runtime.package import find_package


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is here")
def test_a_package_for_a_gpu_is_not_opened_on_the_processor(tmp_path: Path) -> None:
    (tmp_path / "model.plan").write_bytes(b"a plan")
    image = TensorInfo(name="image", dtype="float32", shape=(1, 3, 32, 32))
    Manifest(
        spec=ModelSpec(source="x", architecture="x", classes=("a", "b"), palette=((0, 0, 0), (1, 2, 3))),
        target=Target.parse("tensorrt_static-32x32"),
        inputs=(image,),
        outputs=(image.model_copy(update={"shape": (1, 2, 32, 32)}),),
        files={"model.plan": digest(tmp_path / "model.plan")},
    ).write(tmp_path)
    found = find_package(tmp_path)
    assert found.default_device == "cuda"
    with pytest.raises(BackendError, match=r"segship\[tensorrt\]"):  # not: no device is called 'cpu'
        found.session(trust=True)
