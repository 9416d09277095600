"""Quantised values from -127 to 127 instead of 0 to 255."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from segship.core.errors import BackendError

if TYPE_CHECKING:
    import onnx

__all__ = ["signed_activations"]

_UNSIGNED, _SIGNED = 255, 127  # the greatest values of eight bits


def signed_activations(model: onnx.ModelProto) -> bool:
    """Let values from 0 to 255 be values from -127 to 127 of the same range: GPUs know no other eight bits.

    Args:
        model: A QDQ graph without zero points; changed in place.

    Returns:
        Whether there were unsigned values.

    Raises:
        BackendError: A zero point is not zero, so that the range is not symmetric.
    """
    changed = False
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    for scale, zero in {(node.input[1], node.input[2]) for node in pairs}:
        point = numpy_helper.to_array(values[zero])
        if point.any():
            raise BackendError(f"NNCF gave {zero} a zero point, which this engine does not know")
        if point.dtype == np.uint8:
            wider = numpy_helper.to_array(values[scale]) * np.float32(_UNSIGNED / _SIGNED)
            values[scale].CopyFrom(numpy_helper.from_array(wider.astype(np.float32), scale))
            values[zero].CopyFrom(numpy_helper.from_array(point.astype(np.int8), zero))
            changed = True
    if changed:
        del model.graph.value_info[:]  # it repeats the types that changed
    return changed
