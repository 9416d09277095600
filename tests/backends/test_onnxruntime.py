from __future__ import annotations

from pathlib import Path

import pytest

from segship.backends import backend_names, find_backend
from segship.backends import onnxruntime as backend
from segship.core.artifacts import Engine
from segship.core.errors import BackendError


def test_backends_are_found_by_their_file_names() -> None:
    assert "onnxruntime" in backend_names()
    assert find_backend("onnxruntime") is not None
    with pytest.raises(BackendError, match=r"Did you mean 'onnxruntime'\?"):
        find_backend("onnxrutime")


def test_the_processor_always_works() -> None:
    assert [device.usable for device in backend.probe() if device.name == "cpu"] == [True]


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"text")
    with pytest.raises(BackendError, match=r"cannot open .*model\.onnx"):
        backend.open(Engine(tmp_path, ("model.onnx",), (), ()))


@pytest.mark.parametrize(
    ("device", "message"), [("gpu", "no device is called 'gpu'"), ("cuda:x", "no device is called")]
)
def test_an_unknown_device_is_refused(tmp_path: Path, device: str, message: str) -> None:
    with pytest.raises(BackendError, match=message):
        backend.open(Engine(tmp_path, ("model.onnx",), (), ()), device=device)


def test_a_device_this_build_lacks_names_the_ones_it_has(tmp_path: Path) -> None:
    if any(device.name == "directml" for device in backend.probe()):
        pytest.skip("this build of ONNX Runtime has DirectML")
    with pytest.raises(BackendError, match=r"no directml support \(it has .*cpu.*\): pip install onnxruntime-directml"):
        backend.open(Engine(tmp_path, ("model.onnx",), (), ()), device="directml")
