"""TensorRT for RTX: by a stand-in for its Python interface, and by its wheels where they are installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from segship.backends import tensorrt_rtx
from segship.core.artifacts import Engine, Graph, TensorInfo
from segship.core.errors import BackendError, MissingExtraError, SegshipError
from segship.core.manifest import Manifest
from segship.core.target import Target
from segship.deploy import Int8, export
from segship.vision.draw import write_png
from support.trained import write_trained

INSTALLED = importlib.util.find_spec("tensorrt_rtx_bindings") is not None


class Network:
    def __init__(self, refuses: str) -> None:
        self.refuses, self.set, self.shapes = refuses, "", ()

    # the builder
    def create_network(self, flags: int) -> Network:
        assert flags == 0
        return self

    def create_builder_config(self) -> Network:
        return self

    def create_optimization_profile(self) -> Network:
        return self

    def build_serialized_network(self, network: Network, config: Network) -> bytes | None:
        assert network is config is self
        return None if self.refuses == "build" else f"{self.set} {self.shapes}".encode()

    # its config and profile
    def set_compute_capability(self, capability: str, place: int) -> None:
        assert (vars(self)["num_compute_capabilities"], place) == (1, 0)
        self.set = capability

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        assert name == "image"
        self.shapes = shapes

    def add_optimization_profile(self, profile: Network) -> None:
        assert profile is self


class Parser:
    num_errors = 1

    def __init__(self, network: Network, logger: Any) -> None:
        self.network, self.logger = network, logger

    def parse_from_file(self, path: str) -> bool:
        assert Path(path).is_file()
        if self.network.refuses == "build":
            self.logger.log("error", "no kernel for Mul_3")
        return self.network.refuses != "parse"

    def get_error(self, index: int) -> Any:
        assert index == 0
        told = {"node_operator": "Gelu", "node_name": "head.act", "desc": "no importer"}
        return SimpleNamespace(**{name: lambda value=value: value for name, value in told.items()})


class Logger:
    Severity = SimpleNamespace(ERROR="error", INTERNAL_ERROR="internal")


def stand_in(monkeypatch: pytest.MonkeyPatch, refuses: str = "") -> None:
    module = ModuleType("tensorrt_rtx_bindings")
    parts = {
        "__version__": "1.7.1",
        "ILogger": Logger,
        "Builder": lambda _: Network(refuses),
        "OnnxParser": Parser,
        "ComputeCapability": SimpleNamespace(SM89="sm89", SM120="sm120"),
    }
    vars(module).update(parts)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_libs", ModuleType("tensorrt_rtx_libs"))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_bindings", module)


def graph(folder: Path) -> Graph:
    (folder / "model.onnx").write_bytes(b"onnx")
    image = TensorInfo(name="image", dtype="float32", shape=("batch", 3, "height", "width"))
    return Graph(folder / "model.onnx", "onnx", (image,), (image,))


@pytest.mark.parametrize(("options", "card"), [({}, "sm89"), ({"capability": "SM120"}, "sm120")])
def test_an_engine_is_built_for_the_card_that_is_named(
    options: dict[str, str], card: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    target = Target.parse("tensorrt-rtx_dynamic-64x64-128x256").model_copy(update={"options": options})
    engine = tensorrt_rtx.convert(graph(tmp_path), target, tmp_path)
    built = (tmp_path / engine.files[0]).read_text()
    assert built == f"{card} ((1, 3, 64, 64), (1, 3, 128, 128), (4, 3, 128, 256))"
    assert engine.options["capability"].lower() == card


@pytest.mark.parametrize(
    ("refuses", "message"),
    [("parse", "cannot read the graph: Gelu 'head.act': no importer"), ("build", "for SM89: no kernel for Mul_3")],
)
def test_a_refusal_names_the_layer(refuses: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, refuses)
    with pytest.raises(BackendError, match=message):
        tensorrt_rtx.convert(graph(tmp_path), Target.parse("tensorrt-rtx_dynamic"), tmp_path)
    assert not (tmp_path / "model.rtx").exists()


def test_nothing_is_run_and_nothing_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    (device,) = tensorrt_rtx.probe()
    assert not device.usable
    with pytest.raises(SegshipError, match=r"cuda\.bindings|CUDA"):
        tensorrt_rtx.open(Engine(tmp_path, ("model.rtx",), (), ()))


def test_without_its_wheels_the_pip_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx_libs", None)
    with pytest.raises(MissingExtraError, match=r"segship\[tensorrt-rtx\]"):
        tensorrt_rtx.convert(graph(tmp_path), Target.parse("tensorrt-rtx_dynamic"), tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:int8 is calibrated on")
def test_int8_is_judged_by_the_graph_that_the_engine_is_built_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf", reason="int8 needs segship[int8]")
    given: list[onnx.ModelProto] = []

    def convert(graph: Graph, target: Target, directory: Path) -> Engine:
        assert target.precision == "int8"
        given.append(onnx.load(graph.path))
        (directory / "model.rtx").write_bytes(b"an engine")
        return Engine(directory, ("model.rtx",), graph.inputs, graph.outputs, {"capability": "SM89"})

    monkeypatch.setattr(tensorrt_rtx, "convert", convert)
    stand_in(monkeypatch)
    (tmp_path / "images").mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 96, 3), np.uint8)
        write_png(tmp_path / "images" / f"{seed}.png", pixels)
    trained = write_trained(tmp_path)

    def made(agreement: float) -> Manifest:
        int8 = Int8(calibration=tmp_path / "images", agreement=agreement)
        target = "tensorrt-rtx-int8_static-64x96"
        return export(*trained, tmp_path / "package", target=target, int8=int8).manifest

    manifest = made(0.5)
    assert (manifest.state, manifest.checks) == ("built, not verified here", ())
    assert "int8 was judged by its graph" in manifest.notes[-1]
    assert manifest.quantization is not None
    assert manifest.quantization.agreement >= 0.5
    assert len(given) == 1  # the engine is built once, whatever was tried before
    zeros = {each.name: each for each in given[0].graph.initializer}
    pairs = [node for node in given[0].graph.node if node.op_type == "QuantizeLinear"]
    assert pairs
    assert not any(numpy_helper.to_array(zeros[node.input[2]]).any() for node in pairs)
    stricter = made(0.9999)
    assert stricter.quantization.kept
    assert stricter.quantization.agreement > manifest.quantization.agreement


@pytest.mark.skipif(not INSTALLED, reason="pip install segship[tensorrt-rtx]")
@pytest.mark.parametrize("capability", tensorrt_rtx.INFO.options["capability"].choices)
@pytest.mark.parametrize("precision", ["tensorrt-rtx", "tensorrt-rtx-fp16"])
def test_the_wheels_build_without_a_card(precision: str, capability: str, tmp_path: Path) -> None:
    trained = write_trained(tmp_path)
    target = Target.parse(f"{precision}_dynamic-64x96").model_copy(update={"options": {"capability": capability}})
    if (precision, capability) == ("tensorrt-rtx", "SM75"):
        with pytest.raises(BackendError, match=r"for Turing \(SM75\): FP32 GEMM is not supported"):
            export(*trained, tmp_path / "package", target=target)
        return
    manifest = export(*trained, tmp_path / "package", target=target).manifest
    assert (manifest.state, manifest.checks) == ("built, not verified here", ())
    assert manifest.options["capability"] == capability
    assert (tmp_path / "package" / "model.rtx").stat().st_size > 10_000
