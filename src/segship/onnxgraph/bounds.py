"""Bounds of foreign models: what one run of them would take is counted before anything of them runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import numpy_helper

from segship.core.errors import InputError, UnsupportedError
from segship.onnxgraph.operators import STANDARD_DOMAINS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import onnx

__all__ = ["LARGEST_FILE", "require_bounded", "require_onnx", "require_text"]

LARGEST_FILE = 2**31
"""Bytes of a protobuf message, at most."""

_STEPS = 12_000  # nodes that one run computes; captured networks have up to some thousand
_DEPTH = 6  # of branches within branches
_UNCOUNTED = frozenset({"Scan", "SequenceMap"})
_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}  # wire type -> bytes


def require_onnx(path: Path) -> None:
    """Refuse what cannot be an ONNX file, without reading more of it than its outermost fields.

    Raises:
        InputError: It is no file, larger than one message, or its fields do not fill it.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist or is not a file")
    size = path.stat().st_size
    if size >= LARGEST_FILE:
        raise InputError(f"{path} has {size} bytes, an ONNX file less than {LARGEST_FILE}: it is damaged")
    with path.open("rb") as file:
        while (at := file.tell()) < size:
            number, kind = divmod(_varint(file), 8)
            if kind == _LENGTH_DELIMITED:
                file.seek(_varint(file), 1)
            elif kind == 0:
                _varint(file)
            else:
                file.seek(_FIXED.get(kind, LARGEST_FILE), 1)
            if not number or file.tell() > size:
                raise InputError(f"{path} is no ONNX file, or it is cut off: it makes no sense from byte {at}")


def _varint(file: Any) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return LARGEST_FILE
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:  # noqa: PLR2004
            break
    return min(value, LARGEST_FILE)


def require_bounded(model: onnx.ModelProto) -> None:
    """Refuse a model that computes more nodes in one run than any real network has.

    Branches, turns of loops and calls of local functions are counted; a loop's turns must be a constant.

    Args:
        model: Its local functions need not be inlined.

    Raises:
        UnsupportedError: It computes too much, or how much cannot be told.
    """
    steps = _Steps(model).of(model.graph.node, _constants(model.graph), 0)
    if steps > _STEPS:
        raise _too_much(steps)


def _too_much(steps: float) -> UnsupportedError:
    return UnsupportedError(
        f"the model computes {steps:g} nodes in one run, more than {_STEPS}: no real network does. Simplify it, or "
        "export it again without loops"
    )


class _Steps:
    """Counts the nodes that one run computes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._functions = {(function.domain, function.name): function for function in model.functions}
        self._known: dict[tuple[str, str], int] = {}
        self._open: set[tuple[str, str]] = set()

    def of(self, nodes: Iterable[onnx.NodeProto], constants: dict[str, onnx.TensorProto], depth: int) -> int:
        """Count ``nodes``, with what they contain.

        Raises:
            UnsupportedError: They are too many, too deep, or cannot be counted.
        """
        if depth > _DEPTH:
            raise UnsupportedError(f"the model has branches within branches, deeper than {_DEPTH}: export it again")
        steps = 0
        for node in nodes:
            within = sum(self.of(part.node, constants | _constants(part), depth + 1) for part in _parts(node))
            steps += 1 + self._called(node) + within * _turns(node, constants)
            if steps > _STEPS:
                raise _too_much(steps)
        return steps

    def _called(self, node: onnx.NodeProto) -> int:
        """What a local function computes, 0 for operators."""
        key = (node.domain, node.op_type)
        if key not in self._functions:
            return 0
        if key in self._open:
            raise UnsupportedError(f"the model's function {node.op_type!r:.60} calls itself")
        if key not in self._known:
            self._open.add(key)
            self._known[key] = self.of(self._functions[key].node, {}, len(self._open) // 100)
            self._open.discard(key)
        return self._known[key]


def _parts(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The numbers that a graph holds, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value":
                found.update(dict.fromkeys(node.output, attribute.t))
    return found


def _turns(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> int:
    """How often a node computes the graphs within it.

    Raises:
        UnsupportedError: That is no constant.
    """
    if node.domain not in STANDARD_DOMAINS:
        return 1
    if node.op_type == "Loop":
        told = constants.get(node.input[0]) if node.input else None
        if told is not None and not told.external_data and len(told.dims) <= 1:
            turns = np.ravel(numpy_helper.to_array(told))
            if turns.size == 1 and turns.dtype.kind == "i":
                return max(0, int(turns[0]))
    if node.op_type == "Loop" or node.op_type in _UNCOUNTED:
        raise UnsupportedError(
            f"the model has a {node.op_type} whose number of turns is no constant: export it again without"
        )
    return 1


def require_text(model: onnx.ModelProto) -> None:
    """Refuse names that are no UTF-8, which protobuf hands over as bytes.

    Raises:
        ValueError: One is.
    """
    names: list[object] = [model.graph.name]
    for entry in model.metadata_props:
        names += [entry.key, entry.value]
    for value in (*model.graph.input, *model.graph.output):
        names += [value.name, *(side.dim_param for side in value.type.tensor_type.shape.dim)]
    if wrong := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"the name {wrong[0]!r:.60} is no text")
