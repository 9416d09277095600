"""Writing an ONNX file without a copy of its weights in memory."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, TypeAlias

import onnx
from onnx import helper

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import onnx_ir as ir
    import torch
    from numpy.typing import NDArray

__all__ = ["TorchWeight", "Weights", "split", "write_model"]

Weights: TypeAlias = dict[str, Any]
"""Tensors of onnx_ir, or `TorchWeight`, by name."""

_SMALL = 1024  # bytes; what is smaller, like sizes and axes, stays where passes can read it
_LARGEST_PROTOBUF = 2**31 - 2**26  # a protobuf message cannot pass 2 GiB; larger weights go to a file beside it
_GRAPH, _INITIALIZER, _RAW_DATA = (
    message.DESCRIPTOR.fields_by_name[name].number
    for message, name in ((onnx.ModelProto, "graph"), (onnx.GraphProto, "initializer"), (onnx.TensorProto, "raw_data"))
)


class TorchWeight:
    """A tensor of torch, perhaps times a factor, as the file will have it; nothing is computed before it is written.

    Args:
        tensor: On the CPU.
        scale: What it is multiplied with, broadcastable to it; None: nothing.
    """

    def __init__(self, tensor: torch.Tensor, scale: NDArray[np.float32] | None = None) -> None:
        self.tensor, self.scale = tensor, scale
        self.dtype = helper.np_dtype_to_tensor_dtype(tensor[:0].numpy().dtype if tensor.dim() else tensor.numpy().dtype)
        self.shape, self.nbytes = tuple(tensor.shape), tensor.nbytes

    def tobytes(self) -> bytes:
        """Its numbers, little-endian."""
        numbers = self.tensor.contiguous().numpy()
        return (numbers if self.scale is None else numbers * self.scale).tobytes()


def split(model: ir.Model | onnx.ModelProto) -> tuple[onnx.ModelProto, Weights]:
    """Take the weights out of ``model``.

    Returns:
        The model without them, which is small, and the tensor of each name, in the graph's order.
    """
    import onnx_ir as ir  # noqa: PLC0415  (networks that are recorded do without it)

    weights: Weights = {}
    if isinstance(model, onnx.ModelProto):
        tensors = list(model.graph.initializer)
        del model.graph.initializer[:]
        for tensor in tensors:
            if len(tensor.raw_data) > _SMALL:
                weights[tensor.name] = ir.from_proto(tensor)
            else:
                model.graph.initializer.append(tensor)
        return model, weights
    for name, value in list(model.graph.initializers.items()):
        if value.const_value is not None and value.const_value.nbytes > _SMALL:
            weights[name], value.const_value = value.const_value, None
            del model.graph.initializers[name]
    return ir.to_proto(model), weights


def write_model(model: onnx.ModelProto, weights: Weights, path: Path) -> None:
    """Write ``model`` with ``weights``, one tensor after the other.

    Args:
        model: Without the initializers of ``weights``.
        weights: The tensor of each name. Where all are 2 GiB and more, they go to ``<name>.data`` beside the file.
        path: The file to write.
    """
    if sum(tensor.nbytes for tensor in weights.values()) > _LARGEST_PROTOBUF:
        with path.with_name(f"{path.name}.data").open("wb") as file:
            for name, tensor in weights.items():
                model.graph.initializer.append(_elsewhere(name, tensor, f"{path.name}.data", file.tell()))
                file.write(tensor.tobytes())
        weights = {}
    with path.open("wb") as file:
        _write(model, weights, file)


def _elsewhere(name: str, tensor: Any, location: str, offset: int) -> onnx.TensorProto:
    proto = _described(name, tensor)
    proto.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", tensor.nbytes)):
        proto.external_data.add(key=key, value=str(value))
    return proto


def _described(name: str, tensor: Any) -> onnx.TensorProto:
    """The tensor without its numbers."""
    return onnx.TensorProto(name=name, data_type=int(tensor.dtype), dims=list(tensor.shape))


def _write(model: onnx.ModelProto, weights: Weights, file: IO[bytes]) -> None:
    """The bytes of ``model``; its graph comes last, and in that the weights, as fields may stand in any order."""
    graph = model.graph.SerializeToString(deterministic=True)
    heads = {name: _described(name, tensor).SerializeToString(deterministic=True) for name, tensor in weights.items()}
    lengths = {
        name: len(head) + len(_field(_RAW_DATA, weights[name].nbytes)) + weights[name].nbytes
        for name, head in heads.items()
    }
    length = len(graph) + sum(len(_field(_INITIALIZER, each)) + each for each in lengths.values())
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
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
