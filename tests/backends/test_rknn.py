"""Rockchip's chips: by a stand-in for the toolkit that knows its documented calls, and by the toolkit where it is."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from segship.backends import _simulated, find_backend, rknn
from segship.core.artifacts import Engine, Graph, TensorInfo
from segship.core.errors import BackendError
from segship.core.target import Target
from segship.deploy import Int8, export
from segship.onnxgraph.file import save
from segship.quantize import quantize
from segship.runtime.package import find_package
from segship.toolchains.rknn import TOOLCHAIN
from support.environments import write_environment
from support.onnx_models import parsed
from support.rknn_toolkit import MODULES
from support.trained import write_trained

IMAGES = Path(__file__).parents[2] / "src/segship/assets/demo/images"
STATIC = "static-64x96"
HAS_TOOLKIT = TOOLCHAIN.environment().ready


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOOLCHAIN.variable, str(write_environment(tmp_path / "rknn", TOOLCHAIN, MODULES)))


def small(folder: Path, opset: int = 19) -> Graph:
    path = folder / "graph.onnx"
    save(parsed("g (float[1, 3, 4, 6] image) => (float[1, 3, 4, 6] logits) { logits = Relu(image) }", opset), path)
    tensor = TensorInfo(name="image", dtype="float32", shape=(1, 3, 4, 6))
    return Graph(path, "onnx", (tensor,), (tensor.model_copy(update={"name": "logits"}),))


@pytest.mark.usefixtures("toolkit")
def test_float16_is_converted_run_on_the_simulator_and_says_so(trained: tuple[Path, Path], tmp_path: Path) -> None:
    target = Target.parse(f"rknn-fp16_{STATIC}").model_copy(update={"options": {"platform": "rk3568"}})
    export(*trained, tmp_path / "package", target=target)
    package = find_package(tmp_path / "package")
    assert package.manifest.state == "verified on the vendor's simulator"
    assert package.manifest.simulator == "RKNN-Toolkit2 2.5.0 simulator"
    assert list(package.manifest.files) == ["model.rknn", "network.onnx"]
    assert (tmp_path / "package" / "model.rknn").read_text() == "RKNN rk3568"
    assert package.manifest.options["platform"] == "rk3568"


@pytest.mark.usefixtures("toolkit")
def test_int8_gives_layers_back_until_the_gate_holds(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segship.verification.int8 import Int8Judge

    verdicts = iter([["it lost"], ["it lost"], [], [], []])
    monkeypatch.setattr(Int8Judge, "failures", lambda *_: next(verdicts))
    int8 = Int8(calibration=IMAGES, images=16)
    manifest = export(*trained, tmp_path / "package", target=f"rknn-int8_{STATIC}", int8=int8).manifest
    record = manifest.quantization
    assert record is not None
    assert len(record.kept) == 2
    assert record.slowdown is None, "a simulator's times are not the chip's"
    first = (tmp_path / "package" / "network.quantization.cfg").read_text().splitlines()[0]
    assert json.loads(first.partition(": ")[2]) == dict.fromkeys(record.kept, "float16")
    assert "model.rknn" in manifest.files


@pytest.mark.usefixtures("toolkit")
@pytest.mark.parametrize(
    ("mode", "opset", "message"),
    [
        ("refuses", 19, r"build: RKNN: unsupport cpu ArgMax op 'value.ArgMax.9'.* \(for rk3588\): the toolkit lacks"),
        ("works", 20, r"load_onnx: .*Unsupport onnx opset 20, need <= 19! \(for rk3588\): the graph is newer"),
        ("raises", 19, r"build: ValueError: assignment destination is read-only / rknn-toolkit2 version: 2\.5\.0"),
        ("dies", 19, r"RKNN-Toolkit2 has ended with status 139: .*Segmentation fault"),
        ("stuck", 19, r"build: .*'outputs' must be set!"),
        (
            "lacking",
            19,
            r"no program for Or 'or\.0', .*Or 'or\.4' and 1 more \(for rk3588\): the board's runtime would",
        ),
    ],
)
def test_a_refusal_is_told_in_one_line_and_nothing_is_left(
    mode: str, opset: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RKNN_STAND_IN", mode)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BackendError, match=message):
        rknn.convert(small(tmp_path, opset), Target.parse("rknn-fp16_static-4x6"), out)
    assert not (out / "model.rknn").exists()
    assert not (out / "result.json").exists()


@pytest.mark.usefixtures("toolkit")
def test_rules_of_the_toolkit_that_fail_are_left_out_and_told(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RKNN_STAND_IN", "rules")
    manifest = export(*trained, tmp_path / "float", target=f"rknn-fp16_{STATIC}").manifest
    assert manifest.options["rules_left_out"] == "fuse_one, fuse_two"
    assert runs_in_int8(tmp_path).options["rules_left_out"] == "fuse_one, fuse_two"


def runs_in_int8(place: Path, **options: str) -> Engine:
    """An engine of the small graph, which the simulator has run."""
    calibrated = place / "calibrated"
    calibrated.mkdir()
    image = np.zeros((1, 3, 4, 6), np.float32)
    graph = dataclasses.replace(small(place), path=Path(shutil.copy(place / "graph.onnx", calibrated)))
    target = Target.parse("rknn-int8_static-4x6").model_copy(update={"options": options})
    reduced = quantize(graph, target, find_backend("rknn"), [image])
    (place / "whole").mkdir()
    engine = reduced.build((), place / "whole", lambda made: made)
    with rknn.open(engine) as session:
        assert np.array_equal(session.run({"image": image})["logits"], image)
    return engine


@pytest.mark.usefixtures("toolkit")
@pytest.mark.parametrize("algorithm", ["kl_divergence", "mmse"])
def test_every_step_is_told_how_ranges_are_found(algorithm: str, tmp_path: Path) -> None:
    runs_in_int8(tmp_path, algorithm=algorithm)


@pytest.mark.usefixtures("toolkit")
def test_a_toolkit_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RKNN_STAND_IN", "hangs")
    monkeypatch.setattr(_simulated, "_SECONDS", 3)
    with pytest.raises(BackendError, match="has not finished within 3 seconds, and was ended"):
        rknn.convert(small(tmp_path), Target.parse("rknn-fp16_static-4x6"), tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"platform": "rk9999"}, "platform is 'rk9999': expected rk3562"), ({"soc": "x"}, "has no option 'soc'")],
)
def test_options_are_checked_before_anything_runs(options: dict[str, str], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        find_backend("rknn").INFO.read_options(options)


def test_without_the_environment_it_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOOLCHAIN.variable, str(tmp_path))
    assert "segship doctor --setup rknn" in rknn.probe()[0].note
    with pytest.raises(BackendError, match="segship doctor --setup rknn"):
        rknn.convert(small(tmp_path), Target.parse("rknn-fp16_static-4x6"), tmp_path)


class Lite:
    """rknn-toolkit-lite2's documented interface: NHWC in, 0 where it went well."""

    loads = 0

    def load_rknn(self, path: str) -> int:
        assert Path(path).name == "model.rknn"
        return self.loads

    def init_runtime(self, core_mask: int = 0) -> int:
        return core_mask

    def inference(self, inputs: list[np.ndarray], data_format: list[str]) -> list[np.ndarray]:
        assert data_format == ["nhwc"]
        assert inputs[0].shape == (1, 4, 6, 3)
        return [inputs[0].transpose(0, 3, 1, 2)]

    def release(self) -> None:
        pass


@pytest.mark.parametrize("loads", [0, -1])
def test_a_board_is_called_by_its_documented_interface(
    loads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("rknnlite.api")
    vars(module)["RKNNLite"] = type("RKNNLite", (Lite,), {"loads": loads})
    monkeypatch.setitem(sys.modules, "rknnlite", ModuleType("rknnlite"))
    monkeypatch.setitem(sys.modules, "rknnlite.api", module)
    graph = small(tmp_path)
    engine = Engine(tmp_path, ("model.rknn",), graph.inputs, graph.outputs, {"platform": "rk3566"})
    if loads:
        with pytest.raises(BackendError, match=r"load_rknn returned -1; it was built for rk3566"):
            rknn.open(engine, device="npu")
        return
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 6)).astype(np.float32)
    with rknn.open(engine, device="npu") as session:
        assert np.array_equal(session.run({"image": image})["logits"], image)


def test_devices_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    engine = SimpleNamespace(directory=tmp_path, files=("model.rknn",), options={})
    with pytest.raises(BackendError, match="simulator, or npu on a board"):
        rknn.open(engine, device="cpu")  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="pip install rknn-toolkit-lite2"):
        rknn.open(engine, device="npu")  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="leave --threads out"):
        rknn.open(engine, threads=2)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TOOLKIT, reason="no environment of RKNN-Toolkit2: segship doctor --setup rknn")
def test_the_toolkit_itself_converts_and_simulates(trained: tuple[Path, Path], tmp_path: Path) -> None:
    manifest = export(*trained, tmp_path / "package", target=f"rknn-fp16_{STATIC}").manifest
    assert manifest.state == "verified on the vendor's simulator"
    assert all(check.labels_equal > 0.99 for check in manifest.checks)
    assert (tmp_path / "package" / "model.rknn").stat().st_size > 1000
