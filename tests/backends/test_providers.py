"""Execution providers of ONNX Runtime: the processor never computes in a device's place without an error."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from segship.backends import _providers
from segship.backends import onnxruntime as backend
from segship.core.artifacts import Engine
from segship.core.errors import BackendError
from support.commands import segship as run
from support.trained import write_trained

ENGINE = Engine(Path("package"), ("model.onnx",), (), ())
CPU = "CPUExecutionProvider"


class Runtime(ModuleType):
    """ONNX Runtime as it behaves with providers: what it cannot load it leaves out, without an error."""

    __version__ = "1.31.1"

    def __init__(self, available: dict[str, str], loaded: list[str], assigned: dict[str, list[str]]) -> None:
        super().__init__("onnxruntime")
        self.available, self.loaded, self.assigned = available, loaded, assigned
        self.registered: list[tuple[str, str]] = []
        self.asked: list[Any] = []

    def get_available_providers(self) -> list[str]:
        return [*self.available, CPU]

    def get_ep_devices(self) -> list[Any]:
        return [SimpleNamespace(ep_name=name) for name, _ in self.registered if "Web" not in name]

    def register_execution_provider_library(self, name: str, path: str) -> None:
        assert (name, path) not in self.registered
        self.registered.append((name, path))

    def SessionOptions(self) -> Any:  # noqa: N802  (as it is called there)
        return SimpleNamespace(
            add_session_config_entry=lambda name, value: self.asked.append((name, value)),
            add_provider_for_devices=lambda places, options: self.asked.append((places[0].ep_name, options)),
        )

    def InferenceSession(self, path: str, options: Any, providers: Any = None) -> Any:  # noqa: N802
        del path, options
        self.asked.append(providers)
        parts = [
            SimpleNamespace(
                ep_name=name,
                get_nodes=lambda kinds=kinds: [SimpleNamespace(op_type=kind, name=f"/{kind}") for kind in kinds],
            )
            for name, kinds in self.assigned.items()
        ]
        return SimpleNamespace(
            get_providers=lambda: [*self.loaded, CPU],
            get_provider_graph_assignment_info=lambda: parts,
            get_outputs=list,
        )


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runtime]:
    def make(
        name: str = "", loaded: str = "", assigned: dict[str, list[str]] | None = None, plugin: str = ""
    ) -> Runtime:
        made = Runtime({name: ""} if name else {}, [loaded] if loaded else [], assigned or {})
        monkeypatch.setattr(backend, "_load", lambda: made)
        if plugin:
            module = ModuleType(plugin)
            module.get_library_path = lambda: f"/{plugin}.so"  # type: ignore[attr-defined]
            module.__spec__ = importlib.util.spec_from_loader(plugin, None)
            monkeypatch.setitem(sys.modules, plugin, module)
        return made

    return make


CUDA = "CUDAExecutionProvider"


def test_a_provider_that_computes_everything_heavy_is_taken(runtime: Callable[..., Runtime]) -> None:
    made = runtime(CUDA, CUDA, {CUDA: ["Conv", "Relu"], CPU: ["Shape", "Gather"]})
    backend.open(ENGINE, device="cuda:1").close()
    assert made.asked[-1] == [(CUDA, {"device_id": 1}), CPU]
    assert ("session.record_ep_graph_assignment_info", "1") in made.asked


def test_a_provider_that_cannot_be_loaded_is_an_error(runtime: Callable[..., Runtime]) -> None:
    runtime(CUDA, "", {CPU: ["Conv"]})
    with pytest.raises(BackendError, match=r"would run on the processor: ONNX Runtime has CUDA.* and leaves it out"):
        backend.open(ENGINE, device="cuda")


def test_a_provider_that_takes_nothing_is_an_error(runtime: Callable[..., Runtime]) -> None:
    runtime(CUDA, CUDA, {CPU: ["Conv"]})
    with pytest.raises(BackendError, match="CUDAExecutionProvider takes none of its operators"):
        backend.open(ENGINE, device="cuda")


def test_operators_that_stay_behind_are_named(runtime: Callable[..., Runtime]) -> None:
    runtime(CUDA, CUDA, {CUDA: ["Conv"], CPU: ["Shape", "FusedMatMul", "QLinearConv"]})
    with pytest.raises(BackendError, match="does not take 2 operators, the first is FusedMatMul '/FusedMatMul'"):
        backend.open(ENGINE, device="cuda")


def test_a_plugin_is_registered_once_and_asked_for_float32(runtime: Callable[..., Runtime]) -> None:
    name, plugin = "OpenVINOExecutionProvider", "onnxruntime_ep_openvino"
    made = runtime("", name, {name: ["Conv"]}, plugin)
    for _ in range(2):
        backend.open(ENGINE, device="openvino").close()
    assert made.registered == [(name, f"/{plugin}.so")]
    (options,) = {str(each[1]) for each in made.asked if isinstance(each, tuple) and each[0] == name}
    assert '"INFERENCE_PRECISION_HINT": "f32"' in options
    with pytest.raises(BackendError, match="offers 1 devices here, and openvino:1 is not among them"):
        backend.open(ENGINE, device="openvino:1")


def test_a_plugin_without_a_device_is_told(runtime: Callable[..., Runtime]) -> None:
    runtime("", "", {}, "onnxruntime_ep_webgpu")
    with pytest.raises(BackendError, match="onnxruntime-ep-webgpu is installed, and offers no device"):
        backend.open(ENGINE, device="webgpu")
    told = {device.name: device for device in backend.probe()}
    assert told["cpu"].usable
    assert not told["webgpu"].usable


def test_the_plugin_of_openvino_gives_the_processors_masks(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime_ep_openvino", reason="pip install onnxruntime-ep-openvino")
    if not {device.name: device for device in backend.probe()}["openvino"].usable:
        pytest.skip("onnxruntime-ep-openvino offers no device on this machine")
    # After torch has computed in a process, the plugin was seen to take no operator, which is an error, too.
    done = run("export", *write_trained(tmp_path), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    package = tmp_path / "out"
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8))
    for device in ("openvino", "cpu"):
        done = run("predict", package, tmp_path / "a.png", "--to", tmp_path / device, "--device", device)
        assert done.returncode == 0, done.stderr
    (one, other) = (next((tmp_path / device).rglob("*.png")).read_bytes() for device in ("openvino", "cpu"))
    assert one == other


def test_every_device_has_a_name_of_its_own() -> None:
    names = [provider.name for provider in _providers.DEVICES.values()]
    assert len(set(names)) == len(names)
