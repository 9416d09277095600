"""Give free dimensions the names people expect instead of the exporter's symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["name_dimensions"]

_INPUT_NAMES = ("batch", "channels", "height", "width")
_OUTPUT_NAMES = ("batch", "classes", "logits_height", "logits_width")


def name_dimensions(model: onnx.ModelProto) -> bool:
    """Rename the free dimensions of the input and the output, both (N, C, H, W); fixed ones stay as they are.

    Args:
        model: The model; changed in place.

    Returns:
        Whether there is a free dimension.
    """
    free = False
    for values, names in ((model.graph.input, _INPUT_NAMES), (model.graph.output, _OUTPUT_NAMES)):
        for value in values:
            for dim, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
                if dim.dim_param:
                    dim.dim_param, free = name, True
    return free
