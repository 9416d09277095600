"""ONNX files whose run has no bound: refused before anything of them runs."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from segship.core.errors import InputError, UnsupportedError
from segship.onnxgraph.bounds import require_bounded, require_onnx
from segship.sources import load

SPEC = {"normalization": {"mean": [0, 0, 0], "std": [1, 1, 1]}}
FLOAT, DIMS = TensorProto.FLOAT, ["n", 3, "h", "w"]
INFO = helper.make_tensor_value_info


def node(kind: str, inputs: str, outputs: str, **options: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **options)


def model(
    nodes: list[onnx.NodeProto], shape: object = DIMS, functions: tuple[object, ...] = (), **weights: object
) -> onnx.ModelProto:
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", [INFO("x", FLOAT, shape)], [INFO("y", FLOAT, ["n", "k", "p", "q"])], initial)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))


def loop(turns: object, inside: list[onnx.NodeProto], **weights: object) -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Identity", "c", "c2"), *inside],
        "body",
        [INFO("i", TensorProto.INT64, []), INFO("c", TensorProto.BOOL, []), INFO("v", FLOAT, None)],
        [INFO("c2", TensorProto.BOOL, []), INFO("v2", FLOAT, None)],
    )
    return model([node("Loop", "n t x", "y", body=body)], n=np.int64(turns), t=np.bool_(1), **weights)  # type: ignore[call-overload]


def calls(depth: int, width: int) -> onnx.ModelProto:
    """Local functions that call the next ``width`` times."""
    made = []
    for number in range(depth):
        kind, domain = ("Relu", "") if number == depth - 1 else (f"f{number + 1}", "f")
        nodes = [node(kind, f"a{k}", f"a{k + 1}", domain=domain) for k in range(width)]
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
        made.append(helper.make_function("f", f"f{number}", ["a0"], [f"a{width}"], nodes, opsets))
    return model([node("f0", "x", "y", domain="f")], functions=tuple(made))


def branches(depth: int) -> onnx.ModelProto:
    inner = [node("Relu", "x", "o0")]
    for number in range(depth):
        branch = helper.make_graph(inner, f"b{number}", [], [INFO(f"o{number}", FLOAT, None)])
        other = helper.make_graph([node("Relu", "x", "e")], "e", [], [INFO("e", FLOAT, None)])
        inner = [node("If", "t", f"o{number + 1}", then_branch=branch, else_branch=other)]
    inner[0].output[0] = "y"
    return model(inner, t=np.bool_(1))


def chain(length: int) -> onnx.ModelProto:
    names = ["x", *(f"v{number}" for number in range(length - 1)), "y"]
    return model([node("Relu", a, b) for a, b in itertools.pairwise(names)])


STEADY, GROWING = [node("Relu", "v", "v2")], [node("Concat", "v v", "v2", axis=1)]
ENDLESS = {
    "many turns": loop(2**62, STEADY),
    "turns that grow": loop(30, GROWING),
    "calls of calls": calls(26, 2),
    "a long chain": chain(13_000),
    "deep branches": branches(9),
    "doubling": model(
        [node("Concat", f"{a} {a}", b, axis=1) for a, b in zip("xabcdefghijklm", "abcdefghijklmy", strict=True)]
    ),
    "an array of gigabytes": model([node("ConstantOfShape", "s", "y")], s=np.array([1, 19, 8000, 8000])),
    "an input of gigabytes": model([node("Relu", "x", "y")], shape=[1, 3, 100_000, 100_000]),
    "images by the million": model([node("Relu", "x", "y")], shape=[10**6, 3, 64, 64]),
}


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=list(ENDLESS))
def test_what_has_no_bound_is_refused(endless: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(endless, tmp_path / "m.onnx")
    begin = time.process_time()
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path / "m.onnx", spec=SPEC)
    assert "\n" not in str(caught.value)
    assert time.process_time() - begin < 10


@pytest.mark.parametrize("usual", [loop(3, STEADY), calls(3, 4), branches(2), chain(500)])
def test_what_has_a_bound_is_read(usual: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(usual, tmp_path / "m.onnx")
    assert len(load(tmp_path / "m.onnx", spec=SPEC).spec.classes) == 3


def test_turns_that_are_computed_are_no_constant() -> None:
    given = loop(3, STEADY)
    given.graph.node[0].input[0] = "x"
    with pytest.raises(UnsupportedError, match="Loop whose number of turns is no constant"):
        require_bounded(given)


def test_a_function_that_calls_itself_is_refused() -> None:
    given = calls(2, 1)
    given.functions[1].node[0].op_type, given.functions[1].node[0].domain = "f0", "f"
    with pytest.raises(UnsupportedError, match="calls itself"):
        require_bounded(given)


def test_large_files_of_nothing_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for size in (2**30, 2**32):
        with path.open("wb") as file:
            file.truncate(size)
        with pytest.raises(InputError, match="byte"):
            require_onnx(path)


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "m.onnx", model([node("Relu", "x", "y")]).SerializeToString()
    path.write_bytes(data)
    require_onnx(path)
    path.write_bytes(data[:-30])
    with pytest.raises(InputError, match="cut off"):
        require_onnx(path)
