"""How much the ONNX file of a package computes: counted on the shapes that ONNX Runtime reports while it runs it."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import MissingExtraError, SizeError, UnsupportedError, engine_errors
from segship.core.manifest import read_manifest
from segship.tools.flops.cost import DEFAULT, Complexity, Cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["count_onnx", "count_package"]

Shapes = list[tuple[int, ...]]

_FLOAT_BYTES = 4
_ACTIVATIONS = {
    "Relu", "LeakyRelu", "PRelu", "Elu", "Gelu", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Clip", "Softplus",
    "Mish",
}  # fmt: skip
_POOLINGS = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"}
_NORMS = {"BatchNormalization", "LayerNormalization", "GroupNormalization", "InstanceNormalization"}
_BIASED = {"Conv": 3, "ConvTranspose": 3, "Gemm": 3}


def count_package(package: str | Path, shape: tuple[int, int] | None = None) -> Complexity:
    """Count what the graph of a package computes. No torch is needed; the graph runs once.

    Normalisations that were merged into convolutions when the package was made are gone, so that ``macs`` and
    ``params`` are a little less than those of its config. The parts are kinds of operators.

    Args:
        package: Folder written by ``segship export``.
        shape: (height, width) of the network's input; None: its only size, or the nearest to 512x1024 that it takes.

    Raises:
        PackageError: It is no package, or a damaged one.
        UnsupportedError: Its engine is not an ONNX file.
        SizeError: It does not take this size.
    """
    directory = Path(package)
    manifest = read_manifest(directory)
    path = directory / next(iter(manifest.files))
    if path.suffix != ".onnx":
        raise UnsupportedError(f"{path} is not an ONNX file: count the config that {directory} was made from")
    size = shape or manifest.sizes.nearest(*DEFAULT)
    if not manifest.sizes.allows(*size):
        raise SizeError(f"the shape is {size[0]}x{size[1]}, this package takes {manifest.sizes}")
    return _count(path, (1, manifest.spec.channels, *size))


def count_onnx(path: str | Path, shape: tuple[int, int] | None = None) -> Complexity:
    """Count what an ONNX file computes that takes one image, float32 (N, C, H, W); as `count_package`.

    Args:
        path: The file.
        shape: (height, width) of its input; None: its own, or 512x1024 where it takes any.

    Raises:
        BackendError: ONNX Runtime cannot open or run it at this size.
    """
    return _count(Path(path), None, shape)


def _count(path: Path, tensor: tuple[int, int, int, int] | None, size: tuple[int, int] | None = None) -> Complexity:
    """Count with an input of the shape ``tensor``; None: as the file has it, with ``size``."""
    nodes, used = _run(path, tensor, size)
    return _sum_up(nodes, used)


def _run(
    path: Path, tensor: tuple[int, int, int, int] | None, size: tuple[int, int] | None
) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """What ONNX Runtime notes about each operator it runs, and the (height, width) it ran at."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("Counting a package", "", "onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # As written: merged operators would hide what they do.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    with tempfile.TemporaryDirectory(prefix="segship.") as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        with engine_errors(f"ONNX Runtime cannot run {path}"):
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            given = session.get_inputs()[0]
            tensor = tensor or _shape_of(given.shape, size)
            session.run(None, {given.name: np.zeros(tensor, np.float32)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [event["args"] for event in events if event.get("name", "").endswith("_kernel_time")], tensor[2:]


def _shape_of(given: list[int | str | None], size: tuple[int, int] | None) -> tuple[int, int, int, int]:
    """A shape that an input takes: its fixed sizes, and ``size`` or the usual one where it is free."""
    if len(given) != 4:  # noqa: PLR2004  (N, C, H, W)
        raise ValueError(f"its input has the shape {given}, expected (N, C, H, W)")
    batch, channels, *sides = (side if isinstance(side, int) and side > 0 else None for side in given)
    height, width = size or tuple(side or usual for side, usual in zip(sides, DEFAULT, strict=True))
    return batch or 1, channels or 3, height, width


def _sum_up(nodes: list[dict[str, Any]], size: tuple[int, int]) -> Complexity:
    costs = {
        "macs": Counter[str](),
        "products": Counter[str](),
        "activations": Counter[str](),
        "params": Counter[str](),
    }
    for node in nodes:
        for kind, number in _cost(node):
            costs[kind][node["op_name"]] += number
    names = sorted(set().union(*costs.values()), key=lambda name: -costs["macs"][name])
    modules = tuple(Cost(name=name, type=name, **{kind: costs[kind][name] for kind in costs}) for name in names)
    total = Cost(name="", type="Graph", **{kind: costs[kind].total() for kind in costs})
    by_operator = {name: number for name, number in costs["products"].items() if number}
    return Complexity(size, total, modules, by_operator, inference_params=total.params)


def _cost(node: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    operator = node["op_name"]
    inputs, kinds = _shapes(node["input_type_shape"])
    outputs, _ = _shapes(node["output_type_shape"])
    if kinds == {"float"} and int(node["parameter_size"]):
        yield "params", int(node["parameter_size"]) // _FLOAT_BYTES
    if not inputs or not outputs:
        return
    size = math.prod(outputs[0])
    products = _products(operator, inputs, outputs[0])
    macs = products + _cheap(operator, inputs, size)
    if macs:
        yield "macs", macs
    if products:
        yield "products", products
        yield "activations", size


def _shapes(entries: list[dict[str, list[int]]]) -> tuple[Shapes, set[str]]:
    pairs = [pair for entry in entries for pair in entry.items()]
    return [tuple(shape) for _, shape in pairs], {kind for kind, _ in pairs}


def _products(operator: str, inputs: Shapes, output: tuple[int, ...]) -> int:
    first = inputs[0]
    if operator == "Conv":
        return math.prod(output) * math.prod(inputs[1][1:])
    if operator == "ConvTranspose":
        return math.prod(first) * math.prod(inputs[1][1:])
    if operator == "MatMul":
        return math.prod(output) * first[-1]
    if operator == "Gemm":
        return math.prod(first) * output[-1]
    if operator == "Attention":  # queries (…, L, E), keys (…, S, E), values (…, S, V)
        keys, values = inputs[1], inputs[2]
        return math.prod(first) * keys[-2] + math.prod(output[:-1]) * keys[-2] * values[-1]
    return 0


def _cheap(operator: str, inputs: Shapes, size: int) -> int:
    if len(inputs) >= _BIASED.get(operator, math.inf) or operator in _ACTIVATIONS:
        return size
    if operator in _POOLINGS:
        return math.prod(inputs[0])
    return 2 * size if operator in _NORMS else 0
