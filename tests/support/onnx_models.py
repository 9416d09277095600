"""Small models, written as ONNX's text, whose weights have numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import onnx.parser
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

if TYPE_CHECKING:
    import numpy as np

__all__ = ["computed", "initializers", "kinds", "parsed"]


def parsed(body: str, opset: int = 20, **weights: np.ndarray) -> onnx.ModelProto:
    """The model of a text, in whose names two underscores stand for a dot, which the parser does not take."""
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {body}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("__", ".")
    for node in model.graph.node:
        node.input[:] = [name.replace("__", ".") for name in node.input]
    onnx.checker.check_model(model)
    return model


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def initializers(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def computed(model: onnx.ModelProto, **inputs: np.ndarray) -> Any:
    """What ONNX's own reference makes of the inputs; the first output."""
    onnx.checker.check_model(model, full_check=True)
    return ReferenceEvaluator(model).run(None, inputs)[0]
