"""Both TensorRTs run engines by their documented interface: stand-ins for it, and for CUDA's, check each call."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segship.backends import find_backend, runs_here
from segship.backends import tensorrt_rtx as rtx
from segship.core.artifacts import Engine, TensorInfo
from segship.core.errors import BackendError
from segship.core.target import Target

MODULES = {"tensorrt": ("tensorrt",), "tensorrt-rtx": ("tensorrt_rtx_libs", "tensorrt_rtx_bindings")}
STREAM = 7


class Gpu:
    """Memory of a GPU, on the processor."""

    def __init__(self, card: str) -> None:
        self.card, self.pending = card, 0
        self.held: dict[int, Any] = {}

    def runtime(self) -> Any:
        """CUDA's functions, by their names."""
        kinds = {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2}
        parts = {"cudaDevAttrComputeCapabilityMajor": 0, "cudaDevAttrComputeCapabilityMinor": 1}
        functions = {
            "cudaError_t": SimpleNamespace(cudaSuccess=0),
            "cudaMemcpyKind": SimpleNamespace(**kinds),
            "cudaDeviceAttr": SimpleNamespace(**parts),
            "cudaGetDeviceCount": lambda: (0, 1),
            "cudaDeviceGetAttribute": lambda what, index: (index, (int(self.card[2:-1]), int(self.card[-1]))[what]),
            "cudaSetDevice": lambda index: (101 if index else 0,),
            "cudaGetErrorString": lambda status: (0, f"error {status}".encode()),
            "cudaStreamCreate": lambda: (0, STREAM),
            "cudaStreamDestroy": lambda stream: (int(stream != STREAM),),
            "cudaMalloc": self.malloc,
            "cudaFree": lambda address: (int(self.held.pop(address, None) is None),),
            "cudaMemcpyAsync": self.copy,
            "cudaStreamSynchronize": self.wait,
        }
        return SimpleNamespace(**functions)

    def malloc(self, size: int) -> tuple[int, int]:
        buffer = ctypes.create_string_buffer(size)
        self.held[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def copy(self, to: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        assert (to if kind == 1 else source) in self.held
        assert stream == STREAM
        self.pending += 1
        ctypes.memmove(to, source, size)
        return (0,)

    def wait(self, stream: int) -> tuple[int]:
        assert stream == STREAM
        self.pending = 0
        return (0,)


class Context:
    """An engine that doubles what it is given, up to 48 pixels a side."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.shape: tuple[int, ...] = ()
        self.at: dict[str, Any] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "image"
        self.shape = tuple(shape)
        return max(shape[2:]) <= 48

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert name == "logits"
        return self.shape

    def set_tensor_address(self, name: str, address: int) -> None:
        self.at[name] = self.gpu.held[address]

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == STREAM
        size = int(np.prod(self.shape))
        given = np.frombuffer(self.at["image"], np.float32, size)
        np.frombuffer(self.at["logits"], np.float32, size)[:] = 2 * given
        return True


class Logger:
    Severity = SimpleNamespace(ERROR="error", INTERNAL_ERROR="internal")


def stand_in(name: str, card: str, monkeypatch: pytest.MonkeyPatch) -> Gpu:
    gpu = Gpu(card)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            if plan != b"a plan":
                self.logger.log("error", "the plan is of another version")
                return None
            return SimpleNamespace(create_execution_context=lambda: Context(gpu))

    module = ModuleType(name)
    vars(module).update({"__version__": "1.7.1", "ILogger": Logger, "Runtime": Runtime})
    for each in MODULES[name]:
        monkeypatch.setitem(sys.modules, each, module)
    bindings = ModuleType("cuda.bindings")
    vars(bindings)["runtime"] = gpu.runtime()
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    return gpu


def engine(folder: Path, name: str) -> Engine:
    (folder / "model.plan").write_bytes(b"a plan")
    image, logits = (TensorInfo(name=each, dtype="float32", shape=("n", 3, "h", "w")) for each in ("image", "logits"))
    options = {"profile": [[1, 3, 8, 8], [1, 3, 8, 8], [2, 3, 48, 48]], name.replace("-", "_"): "1.6"}
    return Engine(folder, ("model.plan",), (image,), (logits,), options | {"capability": "SM89"})


@pytest.mark.parametrize("name", MODULES)
def test_an_engine_runs_in_parts_and_frees_what_it_took(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = stand_in(name, "SM89", monkeypatch)
    backend = find_backend(name)
    assert [(device.name, device.usable) for device in backend.probe()] == [("cuda:0", True)]
    image = np.random.default_rng(0).normal(size=(5, 3, 8, 16)).astype(np.float32)
    with backend.open(engine(tmp_path, name)) as session:
        assert np.array_equal(session.run({"image": image})["logits"], 2 * image)  # 2, 2 and 1 at once
        with pytest.raises(BackendError, match="outside its profile"):
            session.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
        assert gpu.held
    assert not gpu.held
    assert not gpu.pending


@pytest.mark.parametrize("name", MODULES)
def test_what_cannot_be_opened_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(name, "SM89", monkeypatch)
    backend, made = find_backend(name), engine(tmp_path, name)
    with pytest.raises(BackendError, match=r"CUDA: .* says error 101"):
        backend.open(made, device="cuda:1")
    (tmp_path / "model.plan").write_bytes(b"another")
    with pytest.raises(
        BackendError, match=r"the plan is of another version; it was built with .* 1\.6, this is 1\.7\.1"
    ):
        backend.open(made)


def test_engines_for_another_kind_of_card_are_built_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("tensorrt-rtx", "SM120", monkeypatch)
    assert runs_here(rtx, {})  # it builds for the card that is here
    assert runs_here(rtx, {"capability": "SM120"})
    assert not runs_here(rtx, {"capability": "SM89"})
    stand_in("tensorrt-rtx", "SM90", monkeypatch)
    (device,) = rtx.probe()
    assert not device.usable
    assert "is for RTX cards, and this is SM90" in device.note
    assert not runs_here(rtx, Target.parse("tensorrt-rtx_dynamic").options)
