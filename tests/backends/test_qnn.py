"""Qualcomm's chips: by a stand-in for onnxruntime-qnn that knows its documented calls, and by the wheel where it is."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from segship.backends import find_backend, qnn
from segship.core.artifacts import Engine, Graph, TensorInfo
from segship.core.errors import BackendError
from segship.core.target import Target
from segship.deploy import Int8, export
from segship.onnxgraph.file import save
from segship.quantize import qnn_qdq, quantize
from segship.runtime.package import find_package
from segship.toolchains.qnn import TOOLCHAIN
from segship.toolchains.worker import SECONDS, call
from support.environments import write_environment
from support.onnx_models import parsed
from support.qnn_provider import MODULES
from support.trained import write_trained

IMAGES = Path(__file__).parents[2] / "src/segship/assets/demo/images"
STATIC = "static-64x96"
HAS_WHEEL = TOOLCHAIN.environment().ready
WORKS = "works"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOOLCHAIN.variable, str(write_environment(tmp_path / "qnn", TOOLCHAIN, MODULES)))


def small(folder: Path, operator: str = "Relu", *more: str) -> Graph:
    """Two layers, the second of which is ``operator`` of the first."""
    path = folder / "graph.onnx"
    weight = "float[3, 3, 1, 1] weight = {1, -2, 3, 10, 20, -30, 0.5, 0.25, 0}"
    arguments, signature = ", ".join(("value", *more)), "(float[1, 3, 4, 6] image) => (float[1, 3, 4, 6] logits)"
    model = parsed(f"g {signature} <{weight}> {{ value = Abs(image)  logits = {operator}({arguments}) }}", 20)
    for number, node in enumerate(model.graph.node):
        node.name = f"value.{number}"
    save(model, path)
    tensor = TensorInfo(name="image", dtype="float32", shape=(1, 3, 4, 6))
    return Graph(path, "onnx", (tensor,), (tensor.model_copy(update={"name": "logits"}),))


@pytest.mark.usefixtures("wheel")
def test_float16_is_compiled_run_on_the_emulator_and_says_so(trained: tuple[Path, Path], tmp_path: Path) -> None:
    target = Target.parse(f"qnn-fp16_{STATIC}").model_copy(update={"options": {"htp_arch": "75"}})
    export(*trained, tmp_path / "package", target=target)
    manifest = find_package(tmp_path / "package").manifest
    assert manifest.state == "verified on the vendor's simulator"
    assert manifest.simulator == "onnxruntime-qnn 2.7.0 HTP emulator"
    assert list(manifest.files) == ["model.onnx", "model_qnn.bin"]
    assert manifest.options["htp_arch"] == "75"
    assert "soc_model" not in manifest.options, "nobody gave it"
    graph = _compiled(tmp_path / "package").graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv":
            assert {weights[name] for name in node.input[1:]} == {onnx.TensorProto.FLOAT16}
        elif node.op_type == "Cast":
            ends = node.input[0] == graph.input[0].name or node.output[0] == graph.output[0].name
            assert ends, f"{node.name} changes the type in the middle, and what follows is computed in float32"


@pytest.mark.usefixtures("wheel")
def test_layers_that_int8_gives_back_stay_on_the_chip_in_16_bits(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    graph = small(tmp_path, "Conv", "weight")
    images = [random.normal(size=(1, 3, 4, 6)).astype(np.float32) for _ in range(3)]
    target = Target.parse("qnn-int8_static-4x6")
    reduced = quantize(graph, target, find_backend("qnn"), images)
    assert reduced.layers == ("value.0", "value.1")
    ranked = reduced.rank(images[:2], lambda *_: None)
    assert {name for name, _ in ranked} == {"value.0", "value.1"}
    assert ranked[0][1] >= ranked[1][1] > 0, "eight bits cost something"

    kinds = {}
    for kept in ((), ("value.1",)):
        out = tmp_path / f"kept-{len(kept)}"
        out.mkdir()
        engine = reduced.build(kept, out, lambda made: made)
        assert engine.files == ("model.onnx", "model_qnn.bin")
        made = _compiled(out).graph
        kinds[kept] = {tensor.name: tensor.data_type for tensor in made.initializer}
        zeros = {node.input[0]: kinds[kept][node.input[2]] for node in made.node if node.op_type == "QuantizeLinear"}
        wide = [name for name, kind in zeros.items() if kind == onnx.TensorProto.UINT16]
        assert bool(wide) == bool(kept)
        assert any("logits" in name for name in wide) == bool(kept)
    scales = onnx.numpy_helper.to_array(next(each for each in made.initializer if each.name == "weight_scale"))
    assert scales.shape == (3,), "weights have a scale for each channel"
    assert onnx.TensorProto.INT8 in kinds[()].values()


@pytest.mark.usefixtures("wheel")
def test_networks_that_attend_have_16_bits_there(tmp_path: Path) -> None:
    text = """g (float[1, 3, 4, 6] image) => (float[1, 3, 4, 6] logits) {
        like = MatMul(image, square)
        weights = Softmax(like)
        codes = MatMul(words, image)
        mixed = Mul(weights, codes)
        bent = Sigmoid(mixed)
        logits = Add(bent, image)
    }"""
    constants = {
        name: np.random.default_rng(1).normal(size=2 * [side]) for name, side in {"square": 6, "words": 4}.items()
    }
    model = parsed(text, 20, **{name: array.astype(np.float32) for name, array in constants.items()})
    for node in model.graph.node:
        node.name = f"layer.{node.output[0]}"
    save(model, tmp_path / "graph.onnx")
    image = TensorInfo(name="image", dtype="float32", shape=(1, 3, 4, 6))
    graph = Graph(tmp_path / "graph.onnx", "onnx", (image,), (image.model_copy(update={"name": "logits"}),))
    images = [np.random.default_rng(0).normal(size=(1, 3, 4, 6)).astype(np.float32)] * 2
    reduced = quantize(graph, Target.parse("qnn-int8_static-4x6"), find_backend("qnn"), images)
    assert reduced.layers == ("layer.mixed", "layer.bent"), "the others cannot be given back: they have 16 bits"
    (tmp_path / "engine").mkdir()
    engine = reduced.build((), tmp_path / "engine", lambda made: made)
    assert engine.options["of_16_bits"] == "Add, MatMul, Softmax"
    made = _compiled(tmp_path / "engine").graph
    kinds = {tensor.name: tensor.data_type for tensor in made.initializer}
    zeros = {node.input[0]: kinds[node.input[2]] for node in made.node if node.op_type == "QuantizeLinear"}
    for name in ("like", "weights", "logits"):
        assert any(each.startswith(name) and kind == onnx.TensorProto.UINT16 for each, kind in zeros.items()), name
    codes = {kind for each, kind in zeros.items() if each.startswith("codes")}
    assert onnx.TensorProto.UINT8 in codes, "the chip has no product of 16 bits that begins with a constant"
    assert zeros["image"] == onnx.TensorProto.UINT8


@pytest.mark.usefixtures("wheel")
def test_a_ranking_may_take_longer_the_more_layers_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, float] = {}

    def timed(*arguments: Any, **options: Any) -> Any:
        given[arguments[2]] = options["seconds"]
        return call(*arguments, **options)

    monkeypatch.setattr(qnn_qdq, "call", timed)
    images = [np.ones((1, 3, 4, 6), np.float32)] * 2
    reduced = quantize(small(tmp_path), Target.parse("qnn-int8_static-4x6"), find_backend("qnn"), images)
    reduced.rank(images, lambda *_: None)
    assert given == {"calibrate": SECONDS, "rank": SECONDS + 60 * len(reduced.layers)}


def _compiled(package: Path) -> onnx.ModelProto:
    """What the stand-in compiled."""
    return onnx.load(package / "model_qnn.bin")


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("mode", "operator", "options", "message"),
    [
        (WORKS, "Erf", {}, r"the chip does not take Erf 'value\.1' \(for htp_arch 73\): take another engine"),
        (WORKS, "Relu", {"soc_model": 9999}, r"takes no layer: .*'soc_model': '9999'.*segship doctor --engine qnn"),
        ("parts", "Relu", {}, r"compiled in 2 parts, the chip gets one: EPContext, EPContext"),
        ("leaves", "Relu", {}, r"the session has CPUExecutionProvider, and not all is QNNExecutionProvider's"),
        ("dies", "Relu", {}, r"onnxruntime-qnn has ended with status 139"),
    ],
)
def test_a_refusal_is_told_in_one_line_and_nothing_is_left(
    mode: str, operator: str, options: dict[str, int], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QNN_STAND_IN", mode)
    out = tmp_path / "out"
    out.mkdir()
    target = Target.parse("qnn-fp16_static-4x6").model_copy(update={"options": options})
    with pytest.raises(BackendError, match=message):
        qnn.convert(small(tmp_path, operator), target, out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"htp_arch": "50"}, "htp_arch is '50': expected 68, 69, 73"),
        ({"soc_model": "SM8550"}, "soc_model is 'SM8550': expected int"),
        ({"backend_path": "x"}, "has no option 'backend_path'"),
    ],
)
def test_options_are_checked_before_anything_runs(options: dict[str, str], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        find_backend("qnn").INFO.read_options(options)


def test_without_the_environment_it_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOOLCHAIN.variable, str(tmp_path))
    assert "segship doctor --setup qnn" in qnn.probe()[0].note
    with pytest.raises(BackendError, match="segship doctor --setup qnn"):
        qnn.convert(small(tmp_path), Target.parse("qnn-fp16_static-4x6"), tmp_path)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The stand-in in this process, as a chip's."""
    for name in ("InferenceSession", "SessionOptions", "get_ep_devices", "register_execution_provider_library"):
        monkeypatch.setattr(onnxruntime, name, getattr(onnxruntime, name))
    monkeypatch.setenv("QNN_DEVICE", "NPU")
    module = ModuleType("onnxruntime_qnn")
    exec(MODULES["onnxruntime_qnn"], vars(module))  # noqa: S102  (our own text)
    monkeypatch.setitem(sys.modules, "onnxruntime_qnn", module)
    qnn._chip.cache_clear()
    yield module
    qnn._chip.cache_clear()


def test_a_chip_is_called_by_its_documented_interface(plugin: ModuleType, tmp_path: Path) -> None:
    assert [device.usable for device in qnn.probe() if device.name == "npu"] == [True]
    graph = small(tmp_path)
    engine = Engine(tmp_path, ("graph.onnx",), graph.inputs, graph.outputs, {"htp_arch": "73", "soc_model": "60"})
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 6)).astype(np.float32)
    with qnn.open(engine, device="npu") as session:
        assert np.array_equal(session.run({"image": image})["logits"], np.abs(image))
    vars(plugin)["MODE"] = "leaves"
    with pytest.raises(BackendError, match="would run on the processor"):
        qnn.open(engine, device="npu")


def test_devices_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    graph = small(tmp_path)
    engine = Engine(tmp_path, ("graph.onnx",), graph.inputs, graph.outputs)
    with pytest.raises(BackendError, match="simulator, or npu where"):
        qnn.open(engine, device="cpu")
    with pytest.raises(BackendError, match="leave --threads out"):
        qnn.open(engine, threads=2)
    if importlib.util.find_spec("onnxruntime_qnn") is None:
        with pytest.raises(BackendError, match="pip install onnxruntime-qnn"):
            qnn.open(engine, device="npu")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_WHEEL, reason="no environment of onnxruntime-qnn: segship doctor --setup qnn")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_wheel_itself_compiles_and_emulates(precision: str, trained: tuple[Path, Path], tmp_path: Path) -> None:
    gate = Int8(calibration=IMAGES, images=16, agreement=0.5)  # weights that nobody trained
    int8 = gate if precision == "int8" else None
    manifest = export(*trained, tmp_path / "package", target=f"qnn-{precision}_{STATIC}", int8=int8).manifest
    assert manifest.state == "verified on the vendor's simulator"
    assert all(check.labels_equal > 0.5 for check in manifest.checks)
    model = onnx.load(tmp_path / "package" / "model.onnx")
    assert [node.op_type for node in model.graph.node] == ["EPContext"], "the whole network is one node"
    assert (tmp_path / "package" / "model_qnn.bin").stat().st_size > 1000
