from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from segship.backends import onnxruntime as backend
from segship.capture import CaptureOptions, capture
from segship.core.artifacts import Graph, Session
from segship.core.errors import BackendError
from segship.core.target import Target
from segship.networks.session import EagerSession
from support.fill import image
from support.tiny import tiny_network

UNTRACED = [(64, 96, 1), (37, 53, 1), (41, 80, 3)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return capture(tiny_network(), tmp_path_factory.mktemp("graph") / "model.onnx", CaptureOptions(size=(48, 64)))


def opened(graph: Graph, folder: Path) -> Session:
    return backend.open(backend.convert(graph, Target(backend="onnxruntime"), folder))


@pytest.mark.parametrize(("height", "width", "batch"), UNTRACED)
def test_the_graph_is_exact_at_sizes_it_was_not_traced_at(
    graph: Graph, tmp_path: Path, height: int, width: int, batch: int
) -> None:
    feeds = {"image": image(height, width, batch)}
    expected = EagerSession(tiny_network()).run(feeds)["logits"]
    found = opened(graph, tmp_path).run(feeds)["logits"]
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_only_standard_operators_and_opset_18_or_later(graph: Graph) -> None:
    model = onnx.load(graph.path)
    assert {node.domain for node in model.graph.node} <= {""}
    assert [entry.domain for entry in model.opset_import] == [""]
    assert model.opset_import[0].version >= 18
    onnx.checker.check_model(model, full_check=True)


def test_inputs_and_outputs_have_the_names_people_expect(graph: Graph) -> None:
    assert [(info.name, info.shape) for info in graph.inputs] == [("image", ("batch", 3, "height", "width"))]
    assert [(info.name, info.shape) for info in graph.outputs] == [
        ("logits", ("batch", 4, "logits_height", "logits_width"))
    ]


def test_two_exports_are_byte_identical_and_name_no_path(graph: Graph, tmp_path: Path) -> None:
    again = capture(tiny_network(), tmp_path / "again.onnx", CaptureOptions(size=(48, 64))).path.read_bytes()
    assert again == graph.path.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in again


def test_a_static_graph_takes_exactly_its_size(tmp_path: Path) -> None:
    graph = capture(tiny_network(), tmp_path / "model.onnx", CaptureOptions(size=(48, 64), dynamic=False))
    assert graph.inputs[0].shape == (1, 3, 48, 64)
    assert graph.outputs[0].shape == (1, 4, 12, 16)
    (tmp_path / "engine").mkdir()
    session = opened(graph, tmp_path / "engine")
    assert session.run({"image": image(48, 64)})["logits"].shape == (1, 4, 12, 16)
    with pytest.raises(BackendError, match="refuses the input"):
        session.run({"image": image(64, 64)})
