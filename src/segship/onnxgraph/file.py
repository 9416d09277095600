"""ONNX files of any size: loading, saving, and writing one without a copy of its weights in memory.

A protobuf message cannot pass 2 GiB. What is larger keeps its weights in ``<name>.data`` beside the file, and nothing
outside this module needs to know whether it does.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from typing import IO, TYPE_CHECKING, Any

import onnx
from onnx import helper
from onnx.external_data_helper import uses_external_data

from segship.onnxgraph.weights import FileWeight, ProtoWeight

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from segship.onnxgraph.weights import Weight, Weights

__all__ = ["LARGEST", "SharedWeights", "data_file", "is_large", "load", "save", "split", "write"]

LARGEST = 2**31 - 2**26
"""Bytes of weights that go into the file itself; 64 MiB of the 2 GiB are left for all else."""

_SMALL = 1024  # bytes; what is smaller, like sizes and axes, stays where passes can read it
_GRAPH, _INITIALIZER, _RAW_DATA = (
    message.DESCRIPTOR.fields_by_name[name].number
    for message, name in ((onnx.ModelProto, "graph"), (onnx.GraphProto, "initializer"), (onnx.TensorProto, "raw_data"))
)


class SharedWeights:
    """A file for the weights of several models that lie beside it; what they have in common stands in it once.

    Args:
        path: The file, which is made when the first large weights come.
        least: Bytes of a model's weights below which they go into the model's own file.
    """

    def __init__(self, path: Path, least: int = 2**27) -> None:
        self.path, self.least = path, least
        self._places: dict[bytes, int] = {}

    def place(self, weight: Weight) -> int:
        """Return where in the file the numbers of a weight begin; they are written where they are not there yet."""
        data = weight.tobytes()
        key = hashlib.sha256(data).digest()
        if key not in self._places:
            with self.path.open("ab") as file:
                self._places[key] = file.tell()
                file.write(data)
        return self._places[key]


def data_file(path: Path) -> Path:
    """Return where the weights of the file at ``path`` lie if they do not fit into it: ``<name>.data`` beside it."""
    return path.with_name(f"{path.name}.data")


def load(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """Read an ONNX file.

    Args:
        path: The file.
        weights: Whether weights that lie beside the file are read, too; otherwise the model only names them.
    """
    return onnx.load(path, load_external_data=weights)


def save(model: onnx.ModelProto, path: Path, *, source: Path | None = None) -> None:
    """Write a model of any size, with its weights in `data_file` where they do not fit into the file.

    Args:
        model: The model; it is left as it is.
        path: The file to write.
        source: The file that the model was read from without its weights; None: ``path`` itself, or all are in it.
    """
    if source is not None and data_file(source).is_file():
        shutil.copyfile(data_file(source), data_file(path))
        _relocate(model, data_file(path).name)
    if is_large(model):
        write(*split(model), path)
    else:
        path.write_bytes(model.SerializeToString())


def is_large(model: onnx.ModelProto) -> bool:
    """Return whether the weights that are in a model, not beside it, are more than one protobuf message takes."""
    tensors = (tensor for tensor in model.graph.initializer if not uses_external_data(tensor))
    sizes = (math.prod(each.dims) * helper.tensor_dtype_to_np_dtype(each.data_type).itemsize for each in tensors)
    return bool(sum(sizes) > LARGEST)


def split(
    model: ir.Model | onnx.ModelProto, *, folder: Path | None = None, least: int | None = None
) -> tuple[onnx.ModelProto, Weights]:
    """Separate a model from its weights.

    Args:
        model: The model. One of onnx_ir loses its weights; a protobuf message is left as it is.
        folder: Where weights lie that a message only names; None: they stay as they are named.
        least: Bytes of a weight that stays in the model; None: those of sizes and axes.

    Returns:
        The model without its larger weights, which is small, and those weights by name, in the graph's order.
    """
    least = _SMALL if least is None else least
    if isinstance(model, onnx.ModelProto):
        return _split_message(model, folder, least)
    import onnx_ir as ir

    weights: Weights = {}
    for name, value in list(model.graph.initializers.items()):
        if value.const_value is not None and value.const_value.nbytes > least:
            weights[name], value.const_value = value.const_value, None
            del model.graph.initializers[name]
    return ir.to_proto(model), weights


def write(model: onnx.ModelProto, weights: Weights, path: Path, *, shared: SharedWeights | None = None) -> None:
    """Write a model and its weights, one tensor after the other.

    Args:
        model: The model without the initializers of ``weights``.
        weights: The weights by name. Where they pass `LARGEST` together, they go to `data_file`.
        path: The file to write.
        shared: Where weights go that other models have, too; None: nowhere.
    """
    size = sum(weight.nbytes for weight in weights.values())
    if shared is not None and size > shared.least:
        for name, weight in weights.items():
            model.graph.initializer.append(_elsewhere(name, weight, shared.path.name, shared.place(weight)))
        weights = {}
    elif size > LARGEST:
        with data_file(path).open("wb") as file:
            for name, weight in weights.items():
                model.graph.initializer.append(_elsewhere(name, weight, data_file(path).name, file.tell()))
                file.write(weight.tobytes())
        weights = {}
    with path.open("wb") as file:
        _write(model, weights, file)


def _split_message(model: onnx.ModelProto, folder: Path | None, least: int) -> tuple[onnx.ModelProto, Weights]:
    weights: Weights = {}
    small = []
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > least:
            weights[tensor.name] = ProtoWeight(tensor)
        elif folder is not None and uses_external_data(tensor):
            weights[tensor.name] = FileWeight(tensor, folder)
        else:
            small.append(tensor)
    rest = _without(model, "graph")
    rest.graph.CopyFrom(_without(model.graph, "initializer"))
    rest.graph.initializer.extend(small)
    return rest, weights


def _without(message: Any, name: str) -> Any:
    """A copy of a message less one of its fields, which is never copied."""
    rest = type(message)()
    for field, value in message.ListFields():
        if field.name == name:
            continue
        if hasattr(value, "extend"):  # it is repeated
            getattr(rest, field.name).extend(value)
        elif field.message_type is not None:
            getattr(rest, field.name).CopyFrom(value)
        else:
            setattr(rest, field.name, value)
    return rest


def _relocate(model: onnx.ModelProto, location: str) -> None:
    """Let all weights that lie beside the file lie in the file of this name."""
    for tensor in filter(uses_external_data, model.graph.initializer):
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location


def _elsewhere(name: str, weight: Weight, location: str, offset: int) -> onnx.TensorProto:
    proto = _described(name, weight)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", weight.nbytes)):
        proto.external_data.add(key=key, value=str(value))
    return proto


def _described(name: str, weight: Weight) -> onnx.TensorProto:
    """The tensor without its numbers."""
    return onnx.TensorProto(name=name, data_type=int(weight.dtype), dims=list(weight.shape))


def _write(model: onnx.ModelProto, weights: Weights, file: IO[bytes]) -> None:
    """The bytes of ``model``; its graph comes last, and in that the weights, as fields may stand in any order."""
    graph = model.graph.SerializeToString(deterministic=True)
    heads = {name: _described(name, weight).SerializeToString(deterministic=True) for name, weight in weights.items()}
    lengths = {
        name: len(head) + len(_field(_RAW_DATA, weights[name].nbytes)) + weights[name].nbytes
        for name, head in heads.items()
    }
    length = len(graph) + sum(len(_field(_INITIALIZER, each)) + each for each in lengths.values())
    rest = _without(model, "graph")
    file.write(rest.SerializeToString(deterministic=True) + _field(_GRAPH, length) + graph)
    for name, head in heads.items():
        file.write(_field(_INITIALIZER, lengths[name]) + head + _field(_RAW_DATA, weights[name].nbytes))
        file.write(weights[name].tobytes())  # numpy's own writing hides why a disk refuses


def _field(number: int, length: int) -> bytes:
    """How protobuf begins a field of ``length`` bytes: its number and kind, then the length, seven bits a byte."""
    return _varint(number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    digits = []
    while value > 0x7F:  # noqa: PLR2004
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
