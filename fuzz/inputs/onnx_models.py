"""ONNX files: loops, functions, chains, shapes and types without bound, files that lie beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inputs.common import VALUES, Case, damaged, of_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

F = TensorProto.FLOAT
INFO = helper.make_tensor_value_info
WEIGHT = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")


def _constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def model(
    nodes: list[onnx.NodeProto], weights: tuple[onnx.TensorProto, ...] = (), shape: object = ("b", 3, "h", "w"),
    *, kind: int = F, out: object = ("b", "k", "p", "q"), functions: tuple[Any, ...] = (), domain: str = "f",
) -> bytes:  # fmt: skip
    """A model that takes ``x`` and returns ``y``."""
    graph = helper.make_graph(nodes, "g", [INFO("x", kind, shape)], [INFO("y", F, out)], list(weights))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=functions).SerializeToString()


def node(kind: str, inputs: str, outputs: str, **options: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), **options)


def plain(**options: Any) -> bytes:
    return model([node("Conv", "x w", "y")], (WEIGHT,), **options)


def _loop(turns: object, *, grows: bool, condition: str = "c", depth: int = 0) -> list[onnx.NodeProto]:
    body_nodes = [
        node("Identity", "c", "c2"),
        node("Concat", "v v", "v2", axis=0) if grows else node("Identity", "v", "v2"),
    ]
    if depth:
        inner = _loop(turns, grows=grows, depth=depth - 1)[0]
        inner.input[:], inner.output[:] = ["n", "t", "v"], ["v2"]
        body_nodes = [node("Identity", "c", "c2"), inner]
    body = helper.make_graph(
        body_nodes, f"b{depth}", [INFO("i", TensorProto.INT64, []), INFO("c", TensorProto.BOOL, []), INFO("v", F, None)],
        [INFO("c2", TensorProto.BOOL, []), INFO("v2", F, None)],
    )  # fmt: skip
    del condition, turns
    return [node("Loop", "n t x", "y", body=body)]


def _scan_of_loops() -> Iterator[tuple[str, bytes]]:
    for turns in (2**62, 10**9, 10**6, 100, -1, 0):
        for grows in (False, True):
            weights = (_constant("n", np.int64(turns)), _constant("t", np.bool_(True)))
            yield f"a loop of {turns}, growing {grows}", model(_loop(turns, grows=grows), weights)
    weights = (_constant("n", np.int64(1000)), _constant("t", np.bool_(True)))
    for depth in (1, 2, 4):
        yield f"loops {depth} deep", model(_loop(1000, grows=False, depth=depth), weights)
    free = [node("ReduceSum", "x", "s", keepdims=0), node("Cast", "s", "n", to=TensorProto.INT64)]
    yield "turns that are computed", model([*free, *_loop(0, grows=False)], (_constant("t", np.bool_(True)),))
    unnamed = _loop(0, grows=False)
    unnamed[0].input[0] = ""
    yield "a loop without turns", model(unnamed, (_constant("t", np.bool_(True)),))
    big = [
        node("ConstantOfShape", "s", "z"),
        node(
            "Scan",
            "x z",
            "y u",
            num_scan_inputs=1,
            body=helper.make_graph(
                [node("Identity", "v", "v2"), node("Identity", "e", "e2")],
                "b",
                [INFO("v", F, None), INFO("e", F, None)],
                [INFO("v2", F, None), INFO("e2", F, None)],
            ),
        ),
    ]
    for length in (10**9, 10**6, 100):
        yield f"a scan of {length}", model(big, (_constant("s", np.array([length], np.int64)),))
    scanned = [node("SequenceEmpty", "", "q"), *_loop(0, grows=False)]
    yield "a sequence", model(scanned, (_constant("n", np.int64(9)), _constant("t", np.bool_(True))))


def _functions(depth: int, width: int) -> bytes:
    made = []
    for number in range(depth):
        last = number == depth - 1
        inner = [
            node("Relu" if last else f"f{number + 1}", f"a{k}", f"a{k + 1}", domain="" if last else "f")
            for k in range(width)
        ]
        inner[0].input[0], inner[-1].output[0] = "a", "z"
        made.append(
            helper.make_function(
                "f", f"f{number}", ["a"], ["z"], inner, [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]
            )
        )
    return model([node("f0", "x", "y", domain="f")], functions=tuple(made))


def _itself() -> bytes:
    made = helper.make_function(
        "f",
        "f0",
        ["a"],
        ["z"],
        [node("f0", "a", "z", domain="f")],
        [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)],
    )
    return model([node("f0", "x", "y", domain="f")], functions=(made,))


def _ifs(depth: int) -> bytes:
    """If within If, both branches alike."""
    inner = [node("Relu", "x", "o0")]
    for number in range(depth):
        branch = helper.make_graph(inner, f"b{number}", [], [INFO(f"o{number}", F, None)])
        inner = [
            node(
                "If",
                "c",
                f"o{number + 1}",
                then_branch=branch,
                else_branch=branch
                if number < 12
                else helper.make_graph([node("Relu", "x", "e")], "e", [], [INFO("e", F, None)]),
            )
        ]
    inner[0].output[0] = "y"
    return model(inner, (_constant("c", np.bool_(True)),))


def _chain(kind: str, length: int, **options: object) -> bytes:
    nodes = [node(kind, f"v{n}", f"v{n + 1}", **options) for n in range(length)]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    return model(nodes)


def _growing(length: int, kind: str = "Concat") -> bytes:
    nodes = [node(kind, f"v{n} v{n}", f"v{n + 1}", **({"axis": 1} if kind == "Concat" else {})) for n in range(length)]
    nodes[0].input[:], nodes[-1].output[0] = ["x", "x"], "y"
    return model(nodes)


def _sized() -> Iterator[tuple[str, bytes]]:
    for shape in ((1, 3, 100_000, 100_000), (10**6, 3, 64, 64), (1, 10**6, 64, 64), (1, 3, -1, -1), (1, 3, 0, 0), (2**31,) * 4, (1, 3, 2**62, 1), (0, 3, 64, 64),
                  (1, 3, 1, 10**9), (1, 3, "h", 10**9), (1, 3), (1, 3, 64, 64, 1), (), None, (1, 3, "h", "h"), (1, "c", "h", "w"), ("b", 4, "h", "w"), (1, 64, 64, 3), (-5, -3, -2, -1)):  # fmt: skip
        yield f"an input of {shape}", plain(shape=shape)
    for kind in (*range(24), 99, -1):
        yield f"an input of type {kind}", _of_type(kind)
        yield f"weights of type {kind}", _weights_of(kind)
    for shape in ([10**6, 3, 1, 1], [19, 3, 1, 1]):
        make = [node("ConstantOfShape", "s", "w"), node("Conv", "x w", "y")]
        yield f"{shape[0]} classes", model(make, (_constant("s", np.array(shape, np.int64)),))
    for numbers in ([1, 19, 10**5, 10**5], [10**12], [2**62, 2, 1, 1], [-1, -1, -1, -1], [1] * 60, [0, 0, 0, 0]):
        constant = (_constant("s", np.array(numbers, np.int64)),)
        yield f"a constant of {numbers[:4]}", model([node("ConstantOfShape", "s", "y")], constant)
        yield f"expanded to {numbers[:4]}", model([node("Expand", "x s", "y")], constant)
        yield f"reshaped to {numbers[:4]}", model([node("Reshape", "x s", "y")], constant)
        yield f"tiled by {numbers[:4]}", model([node("Tile", "x s", "y")], constant)
    for factor in (10**6, 1e30, 0.0, -1.0, float("nan")):
        scale = _constant("f", np.array([1, 1, factor, factor], np.float32))
        yield f"resized by {factor}", model([helper.make_node("Resize", ["x", "", "f"], ["y"])], (scale,))
    for pads in (10**9, -(10**9), 2**62):
        yield (
            f"padded by {pads}",
            model([node("Pad", "x p", "y")], (_constant("p", np.array([0, 0, pads, pads] * 2, np.int64)),)),
        )
    yield (
        "a range",
        model(
            [node("Range", "a n d", "r"), node("Add", "x r", "y")],
            tuple(_constant(n, np.float32(v)) for n, v in (("a", 0), ("n", 1e12), ("d", 1))),
        ),
    )
    yield "random numbers", model([node("RandomNormal", "", "y", shape=[1, 19, 10**5, 10**5])])
    yield (
        "one hot",
        model(
            [node("ArgMax", "x", "m", axis=1), node("OneHot", "m d v", "y")],
            (_constant("d", np.int64(10**9)), _constant("v", np.float32([0, 1]))),
        ),
    )


def _of_type(kind: int) -> bytes:
    made = onnx.load_from_string(plain())
    made.graph.input[0].type.tensor_type.elem_type = kind
    return made.SerializeToString()


def _weights_of(kind: int) -> bytes:
    made = onnx.load_from_string(plain())
    made.graph.initializer[0].data_type = kind
    return made.SerializeToString()


def _external() -> Iterator[tuple[str, bytes]]:
    for place in ("/etc/passwd", "../../etc/passwd", "/dev/zero", "nowhere.bin", "", "m.onnx", "a" * 300, ".", "x\0y"):
        for length in ("36", str(2**62), "-1", "x", ""):
            made = onnx.load_from_string(plain())
            weight = made.graph.initializer[0]
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            for key, value in (("location", place), ("offset", "0"), ("length", length)):
                weight.external_data.add(key=key, value=value)
            yield f"weights in {place[:20]!r}, {length} bytes", made.SerializeToString()


def _fields() -> Iterator[tuple[str, bytes]]:
    for dims in ([10**9, 10**9], [-1], [2**62], [0], [], [1] * 5000):
        made = onnx.load_from_string(plain())
        made.graph.initializer[0].dims[:] = dims
        yield f"weights of {dims[:3]}", made.SerializeToString()
    for change in (
        "opset 0",
        "opset 999",
        "opset -5",
        "no opset",
        "ir 0",
        "ir 99",
        "no graph",
        "no input",
        "no output",
        "two inputs",
        "no name",
        "twice",
        "cycle",
        "domain",
        "markup",
    ):
        made = onnx.load_from_string(plain())
        graph = made.graph
        if change.startswith("opset"):
            made.opset_import[0].version = int(change.split()[1])
        elif change.startswith("ir"):
            made.ir_version = int(change.split()[1])
        else:
            _CHANGES[change](made, graph)
        yield change, made.SerializeToString()


def _metadata() -> Iterator[tuple[str, bytes]]:
    texts = [value for value in VALUES if isinstance(value, str)]
    for text in texts:
        for key in ("names", "imgsz", "task", "description", "segship"):
            made = onnx.load_from_string(plain())
            for name, value in {
                "author": "Ultralytics",
                "task": "semantic",
                "names": "{0: 'a', 1: 'b', 2: 'c'}",
                key: text,
            }.items():
                made.metadata_props.add(key=name, value=value.encode("utf-8", "replace").decode())
            yield f"metadata {key} is {text[:20]!r}", made.SerializeToString()
    for names in ("{0: 'a', 'b': 'c'}", "{None: 1}", "[1]", "{0: [" * 200, "-" * 5000 + "1", "{(): 1, 'x': 2}"):
        made = onnx.load_from_string(plain())
        for name, value in {
            "author": "Ultralytics",
            "task": "semantic",
            "names": names,
            "imgsz": "['a', None]",
        }.items():
            made.metadata_props.add(key=name, value=value)
        yield f"names {names[:20]}", made.SerializeToString()


_CHANGES: dict[str, Callable[[Any, Any], object]] = {
    "no opset": lambda made, _: made.ClearField("opset_import"),
    "no graph": lambda made, _: made.ClearField("graph"),
    "no input": lambda _, graph: graph.ClearField("input"),
    "no output": lambda _, graph: graph.ClearField("output"),
    "two inputs": lambda _, graph: graph.input.append(INFO("z", F, [1])),
    "no name": lambda _, graph: graph.ClearField("name"),
    "twice": lambda _, graph: graph.node.append(graph.node[0]),
    "cycle": lambda _, graph: graph.node.append(node("Relu", "y", "x")),
    "domain": lambda _, graph: setattr(graph.node[0], "domain", "com.evil"),
    "markup": lambda _, graph: setattr(graph, "name", "[/red]"),
}


def _special() -> Iterator[Case]:
    def sparse(folder: Path) -> Path:
        with (folder / "m.onnx").open("wb") as file:
            file.truncate(3 * 2**30)
        return folder / "m.onnx"

    def fifo(folder: Path) -> Path:
        os.mkfifo(folder / "m.onnx")
        return folder / "m.onnx"

    def device(folder: Path) -> Path:
        (folder / "m.onnx").symlink_to("/dev/zero")
        return folder / "m.onnx"

    def beside(folder: Path) -> Path:
        (folder / "m.onnx").write_bytes(plain())
        os.mkfifo(folder / "m.yaml")
        return folder / "m.onnx"

    def folder_of(folder: Path) -> Path:
        (folder / "m.onnx").mkdir()
        return folder / "m.onnx"

    for title, write in (
        ("a sparse file", sparse),
        ("a fifo", fifo),
        ("a device", device),
        ("a fifo beside it", beside),
        ("a folder", folder_of),
    ):
        yield Case(title, write)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _special()
    made = [*_scan_of_loops(), *_sized(), *_external(), *_fields(), *_metadata()]
    made += [
        (f"functions {depth} deep, {width} wide", _functions(depth, width))
        for depth, width in ((26, 2), (60, 2), (8, 10), (1, 30_000), (3000, 1))
    ]
    made += [
        ("a function of itself", _itself()),
        ("If 30 deep", _ifs(30)),
        ("If 12 deep", _ifs(12)),
        ("If 8 deep", _ifs(8)),
    ]
    made += [
        (f"{length} of {kind}", _chain(kind, length))
        for kind in ("Relu", "Identity", "Exp")
        for length in (30_000, 3000)
    ]
    made += [
        (f"{kind} {length} times", _growing(length, kind)) for kind in ("Concat", "Add") for length in (8, 24, 40, 62)
    ]
    for title, data in (*made, *damaged(plain(), 250)):
        yield of_bytes(title, "m.onnx", data)


def read(path: Path) -> None:
    """Read a network and what it means."""
    from segship.sources import load

    beside = path.with_suffix(".yaml").exists()
    load(path, spec=None if beside else {"normalization": {"mean": [0, 0, 0], "std": [1, 1, 1]}})
