"""Write masks of attention with a number in the place of minus infinity, which no scale of whole numbers can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, numpy_helper

if TYPE_CHECKING:
    import onnx

__all__ = ["finite_masks"]

_READERS = {"Add", "Where"}
_FAR = np.float32(-1000)  # the exponential of less than -104 is zero; scores of attention seldom reach hundreds


def finite_masks(model: onnx.ModelProto) -> bool:
    """Write -1000 where constants that are added or chosen are minus infinity.

    CCNet and Mask2Former leave cells out of a softmax so. A range of values with infinity in it has no scale, and
    onnxruntime-qnn 2.7.0 then composes no graph.

    Args:
        model: Before it is quantised; changed in place.

    Returns:
        Whether a constant was rewritten.
    """
    read = {name for node in model.graph.node if node.op_type in _READERS for name in node.input}
    changed = False
    for tensor in model.graph.initializer:
        if tensor.name not in read or tensor.data_type != TensorProto.FLOAT or tensor.data_location:
            continue
        values = numpy_helper.to_array(tensor)
        if np.isneginf(values).any():
            tensor.CopyFrom(numpy_helper.from_array(np.where(np.isneginf(values), _FAR, values), tensor.name))
            changed = True
    return changed
