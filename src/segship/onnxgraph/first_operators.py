"""What the first operators of a graph say of its image: one that normalises by itself takes pixels as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from onnx import numpy_helper

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

__all__ = ["range_of_pixels"]

_PASSED = {"Identity", "Cast", "Transpose"}
_ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
_MOST = 16  # operators, and numbers of a constant: a mean and a deviation for each channel
# Times which a network that normalises makes its image's range: 2 for -1 to 1, 4.4 for ImageNet's deviations.
_LEAST_SPAN, _GREATEST_SPAN = 0.5, 16.0


def range_of_pixels(model: onnx.ModelProto, image: str) -> Literal["unit", "none"] | None:
    """Return which pixels a graph normalises by itself.

    Args:
        model: The graph.
        image: Its input.

    Returns:
        ``"unit"``: pixels of 0-1; ``"none"``: pixels of 0-255; None: it does not begin with a mean or a deviation.
    """
    found = _scale_and_shift(model, image)
    if found is None:
        return None
    scale, shift = np.abs(found[0]), found[1]
    if not (scale > 0).all() or ((scale == 1).all() and not shift.any()):
        return None
    mean = np.abs(shift / scale)
    if _spans(255 * scale) or ((scale == 1).all() and (mean > 1).all()):
        return "none"
    return "unit" if _spans(scale) and (mean <= 1).all() else None


def _spans(span: NDArray[np.float64]) -> bool:
    return bool(((span >= _LEAST_SPAN) & (span <= _GREATEST_SPAN)).all())


def _scale_and_shift(model: onnx.ModelProto, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The numbers by which the first operators multiply the image, and which they add; None where they do not."""
    constants = _small_constants(model)
    scale, shift = np.ones(1), np.zeros(1)
    for step in range(_MOST):
        readers = [node for node in model.graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type not in _PASSED | _ARITHMETIC:
            return (scale, shift) if step else None
        (node,) = readers
        if node.op_type in _ARITHMETIC:
            number = constants.get(_other(node, name))
            if number is None:
                return None
            scale, shift = _applied(node.op_type, scale, shift, number)
        name = node.output[0]
    return None


def _other(node: onnx.NodeProto, name: str) -> str:
    """What a value is joined with; nothing, where it is itself taken from, or divides, the other."""
    if node.op_type in {"Sub", "Div"} and node.input[0] != name:
        return ""
    return next((each for each in node.input if each != name), "")


def _applied(
    operator: str, scale: NDArray[np.float64], shift: NDArray[np.float64], number: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if operator in {"Add", "Sub"}:
        return scale, shift + (number if operator == "Add" else -number)
    with np.errstate(divide="ignore"):
        factor = number if operator == "Mul" else 1 / number
    return scale * factor, shift * factor


def _small_constants(model: onnx.ModelProto) -> dict[str, NDArray[np.float64]]:
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Constant" and values:
            tensors[node.output[0]] = values[-1]
    arrays = {
        name: numpy_helper.to_array(each).astype(np.float64).ravel()
        for name, each in tensors.items()
        if _is_small(each)
    }
    return {name: each for name, each in arrays.items() if np.isfinite(each).all()}


def _is_small(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor is a few numbers of floating point that lie in the model itself."""
    few = 0 < int(np.prod(tensor.dims, dtype=np.float64)) <= _MOST
    return few and tensor.data_type in {1, 11} and tensor.data_location != tensor.EXTERNAL
