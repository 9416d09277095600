"""What is written for Core ML, read back from the saved program: only macOS runs it."""

from __future__ import annotations

import importlib.util
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segship.backends import coreml as backend
from segship.core.artifacts import Engine, Graph, TensorInfo
from segship.core.errors import BackendError, PackageError
from segship.core.files import digest
from segship.core.manifest import Manifest, read_manifest
from segship.core.spec import ModelSpec
from segship.core.target import Target

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("coremltools") is None,
        reason="coremltools is not installed here: pip install segship[coreml]",
    ),
    pytest.mark.filterwarnings("ignore"),  # of tracing, and coremltools' own
]

IMAGE = TensorInfo(name="image", dtype="float32", shape=(1, 3, 32, 48))
LOGITS = TensorInfo(name="logits", dtype="float32", shape=(1, 16, 16, 24))
ON_A_MAC = platform.system() == "Darwin"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    path = tmp_path_factory.mktemp("graph") / "model.pt"
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(64, 16, 3, 1, 1))
    with torch.no_grad():
        torch.jit.save(torch.jit.trace(layers.eval(), torch.zeros(IMAGE.shape)), str(path))
    return Graph(path, "torchscript", (IMAGE,), (LOGITS,), {"segship": '{"classes": ["Straße"]}'})


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def engine(request: pytest.FixtureRequest, graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp(request.param)
    target = Target.parse(f"coreml-{request.param}_static-32x48")
    return replace(backend.convert(graph, target, folder), options={"precision": request.param})


def saved(engine: Engine) -> tuple[Any, Any]:
    import coremltools

    model = coremltools.models.MLModel(str(engine.directory / "model.mlpackage"), skip_model_load=True)
    return model, model.get_spec()


def test_the_saved_program_has_the_graphs_inputs_and_outputs(engine: Engine) -> None:
    _, program = saved(engine)
    for found, expected in ((program.description.input, IMAGE), (program.description.output, LOGITS)):
        assert [tensor.name for tensor in found] == [expected.name]
        assert tuple(found[0].type.multiArrayType.shape) == expected.shape
        assert found[0].type.multiArrayType.ArrayDataType.Name(found[0].type.multiArrayType.dataType) == "FLOAT32"


def test_the_saved_program_describes_the_network(engine: Engine) -> None:
    model, _ = saved(engine)
    assert model.user_defined_metadata["segship"] == '{"classes": ["Straße"]}'


def test_the_files_are_all_that_was_written(engine: Engine) -> None:
    written = [path for path in engine.directory.rglob("*") if path.is_file()]
    assert {path.relative_to(engine.directory).as_posix() for path in written} == set(engine.files)
    assert engine.files[0] == "model.mlpackage/Manifest.json"


def test_weights_take_the_bytes_of_their_precision(engine: Engine) -> None:
    count = 3 * 64 * 9 + 64 + 64 * 16 * 9 + 16
    width = {"fp32": 4, "fp16": 2}[engine.options["precision"]]
    (weights,) = (engine.directory / name for name in engine.files if name.endswith("weight.bin"))
    assert count * width <= weights.stat().st_size <= count * width + 2000


def test_a_manifest_holds_files_in_folders_and_sees_their_damage(engine: Engine, tmp_path: Path) -> None:
    for name in engine.files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((engine.directory / name).read_bytes())
    spec = ModelSpec(source="mmseg", architecture="x", classes=tuple("abcdefghijklmnop"), palette=((1, 2, 3),) * 16)
    Manifest(
        spec=spec,
        target=Target.parse("coreml_static-32x48"),
        inputs=engine.inputs,
        outputs=engine.outputs,
        files={name: digest(engine.directory / name) for name in engine.files},
    ).write(tmp_path)
    assert read_manifest(tmp_path).engine(tmp_path).files == engine.files
    (tmp_path / engine.files[-1]).write_bytes(b"damaged")
    with pytest.raises(PackageError, match="was changed"):
        read_manifest(tmp_path)


@pytest.mark.skipif(ON_A_MAC, reason="this is macOS")
def test_elsewhere_than_on_macos_it_says_so(engine: Engine) -> None:
    with pytest.raises(BackendError, match=r"run on macOS only, this is .*: copy the package to a Mac"):
        backend.open(engine)
    assert [device.usable for device in backend.probe()] == [False]


def test_an_unknown_device_is_refused(engine: Engine) -> None:
    with pytest.raises(BackendError, match="no device is called 'cuda': cpu, gpu, npu, auto"):
        backend.open(engine, device="cuda")


def test_what_coremltools_cannot_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"not a graph")
    with pytest.raises(BackendError, match="coremltools cannot translate"):
        backend.convert(
            Graph(tmp_path / "model.pt", "torchscript", (IMAGE,), (LOGITS,)),
            Target.parse("coreml_static-32x48"),
            tmp_path,
        )
