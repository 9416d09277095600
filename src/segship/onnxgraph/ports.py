"""Inputs and outputs of a model: name, element type and shape of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from segship.core.artifacts import TensorInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx

__all__ = ["declare", "inputs_of", "outputs_of", "select_output"]


def inputs_of(model: onnx.ModelProto) -> tuple[TensorInfo, ...]:
    """Return the inputs of a model; what has a default among its initializers is a weight and no input."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return tuple(_described(value) for value in model.graph.input if value.name not in weights)


def outputs_of(model: onnx.ModelProto) -> tuple[TensorInfo, ...]:
    """Return the outputs of a model; a side of which nothing is said is ``""``."""
    return tuple(map(_described, model.graph.output))


def declare(model: onnx.ModelProto, inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo]) -> None:
    """Replace the inputs and outputs that a model declares.

    Args:
        model: The model; changed in place.
        inputs: Its new inputs, each read by some node.
        outputs: Its new outputs, each made by some node.
    """
    for values, tensors in ((model.graph.input, inputs), (model.graph.output, outputs)):
        del values[:]
        for tensor in tensors:
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype))
            values.append(helper.make_tensor_value_info(tensor.name, kind or TensorProto.UNDEFINED, tensor.shape))


def select_output(model: onnx.ModelProto, name: str) -> None:
    """Let a model return the output called ``name`` and no other.

    Args:
        model: The model; changed in place.
        name: One of its outputs.
    """
    selected = next(value for value in model.graph.output if value.name == name)
    del model.graph.output[:]
    model.graph.output.append(selected)


def _described(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        known = {number: name for name, number in TensorProto.DataType.items()}
        dtype = known.get(tensor.elem_type, f"type {tensor.elem_type}").lower()
    shape = tuple(dim.dim_value or dim.dim_param for dim in tensor.shape.dim)
    return TensorInfo(name=value.name, dtype=dtype, shape=shape)
