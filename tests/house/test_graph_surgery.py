"""No package but ``onnxgraph`` looks into an ONNX graph, edits one, or reads and writes ONNX files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "segship"
# Fields and methods of ONNX's messages that nothing else has, and those that other things have, too.
FIELDS = {"initializer", "metadata_props", "value_info", "opset_import", "SerializeToString", "ParseFromString"}
FIELDS_OF_A_GRAPH = {"node", "input", "output"}
# Others' Pythons run two of them; one hands the file over to its compiler, and backends stand below `onnxgraph`.
OTHERS = {"backends/_scripts/vacc_build.py", "backends/tvm.py", "toolchains/qnn_worker.py"}
FILES = {"load", "load_model", "load_from_string", "load_external_data_for_model", "save", "save_model"}


def surgery(text: str) -> Iterator[int]:
    """Lines that use a field of a graph, or ONNX's own functions for files."""
    nodes = list(ast.walk(ast.parse(text)))
    graphs = {ast.unparse(node.targets[0]) for node in nodes if isinstance(node, ast.Assign) and is_graph(node.value)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "onnx":
            yield from (node.lineno for alias in node.names if alias.name in FILES)
        if isinstance(node, ast.Attribute) and (
            node.attr in FIELDS
            or (node.attr in FIELDS_OF_A_GRAPH and (is_graph(node.value) or ast.unparse(node.value) in graphs))
            or (node.attr in FILES and ast.unparse(node.value) == "onnx")
        ):
            yield node.lineno


def is_graph(value: ast.expr) -> bool:
    """Whether it is the graph of a model, as in ``model.graph``."""
    return isinstance(value, ast.Attribute) and value.attr == "graph"


def test_graphs_are_edited_in_onnxgraph_alone() -> None:
    found = [
        f"{path.relative_to(SOURCE).as_posix()}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        if path.relative_to(SOURCE).parts[0] != "onnxgraph" and path.relative_to(SOURCE).as_posix() not in OTHERS
        for line in surgery(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_every_pass_is_a_file_named_after_its_function_with_its_test_beside() -> None:
    passes = {path.stem for path in (SOURCE / "onnxgraph" / "passes").glob("*.py")} - {"__init__"}
    tests = {
        path.stem.removeprefix("test_") for path in (SOURCE.parents[1] / "tests/onnxgraph/passes").glob("test_*.py")
    }
    assert tests == passes
    for name in passes:
        tree = ast.parse((SOURCE / "onnxgraph" / "passes" / f"{name}.py").read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("model.graph.node.append(x)", True),
        ("graph = model.graph\ndel graph.output[:]", True),
        ("names = [tensor.name for tensor in part.initializer]", True),
        ("onnx.save(model, path)", True),
        ("from onnx import load_model", True),
        ("content = model.SerializeToString()", True),
        ("graph.inputs[0].name", False),
        ("for node in program.graph.nodes: pass", False),
        ("model.save(path)", False),
        ("graph = describe(path)\nshape = graph.output.shape", False),
        ("name = port.node.friendly_name", False),
    ],
)
def test_what_counts_as_surgery(text: str, found: bool) -> None:
    assert bool(list(surgery(text))) == found
