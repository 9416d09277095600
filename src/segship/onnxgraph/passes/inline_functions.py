"""Put the nodes of a model's local functions where the functions are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import inliner

from segship.onnxgraph.file import is_large, split

if TYPE_CHECKING:
    import onnx

__all__ = ["inline_functions"]


def inline_functions(model: onnx.ModelProto) -> bool:
    """Inline all local functions.

    Args:
        model: The model; changed in place.

    Returns:
        Whether it had any.
    """
    if not model.functions:
        return False
    if not is_large(model):
        model.CopyFrom(inliner.inline_local_functions(model))
        return True
    small, weights = split(model)  # the inliner takes one protobuf message
    large = [tensor for tensor in model.graph.initializer if tensor.name in weights]
    inlined = inliner.inline_local_functions(small)
    inlined.graph.initializer.extend(large)
    model.CopyFrom(inlined)
    return True
