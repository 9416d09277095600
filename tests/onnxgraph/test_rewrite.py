from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from segship.backends import backend_names, find_backend
from segship.core.artifacts import Graph
from segship.onnxgraph import file as onnx_file
from segship.onnxgraph import rewrite
from segship.onnxgraph.file import load, save
from segship.onnxgraph.rewrite import PASSES, apply_passes
from support.onnx_models import initializers, kinds, parsed

if TYPE_CHECKING:
    from pathlib import Path

WEIGHT = np.random.default_rng(0).normal(size=(40, 3, 3, 3)).astype(np.float32)


def graph(path: Path, slope: float = 0.25) -> Graph:
    model = parsed(
        """g (float[n, 3, h, w] image) => (float[n, 40, p, q] logits) {
            a = Conv(image, weight)
            logits = PRelu(a, slope)
        }""",
        weight=WEIGHT,
        slope=np.full(1, slope, np.float32),
    )
    save(model, path)
    return Graph(path, "onnx", (), ())


def test_engines_ask_for_passes_that_there_are() -> None:
    engines = {name: find_backend(name).INFO for name in backend_names()}
    asked = {name: info.passes for name, info in engines.items()}
    before_int8 = {name for info in engines.values() for name in info.int8_passes}
    assert {name for names in asked.values() for name in names} | before_int8 == set(PASSES)
    assert asked["openvino"] == ("pool_to_convolution", "exact_summands", "unsigned_activations")
    assert engines["openvino"].int8_passes == ("normalize_convolutions",)
    assert asked["onnxruntime"] == ("prelu_to_max", "attention_to_products", "unsigned_activations", "pads_with_axes")


def test_a_graph_without_the_operators_of_the_passes_is_not_even_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = graph(tmp_path / "model.onnx")
    monkeypatch.setattr(rewrite, "load", None)
    assert apply_passes(given, ["attention_to_products"]) is given


def test_a_graph_that_no_pass_changes_is_taken_as_it_is(tmp_path: Path) -> None:
    given = graph(tmp_path / "model.onnx", slope=1.5)
    assert apply_passes(given, ["prelu_to_max"]) is given
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("limit", [onnx_file.LARGEST, 0], ids=["in the file", "beside it"])
def test_a_changed_graph_is_another_file_and_the_first_one_stays(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", limit)
    given = graph(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").is_file() == (limit == 0)
    found = apply_passes(given, ["prelu_to_max"])
    assert found.path.parent != given.path.parent
    onnx.checker.check_model(found.path)
    assert kinds(load(given.path)) == ["Conv", "PRelu"]
    assert kinds(load(found.path)) == ["Conv", "Mul", "Max"]
    np.testing.assert_array_equal(initializers(load(found.path))["weight"], WEIGHT)
