"""float16: weights and arithmetic at half the width, inputs and outputs as they were."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

import onnx

from segship.core.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.artifacts import Graph

__all__ = ["to_float16"]


def to_float16(graph: Graph, path: Path) -> Graph:
    """Write a float16 version of ``graph``.

    ONNX Runtime's own converter does it; what float16 cannot hold it keeps in float32.

    Args:
        graph: float32, ONNX.
        path: The file to write.

    Returns:
        The graph at ``path``; its input and output stay float32.

    Raises:
        MissingExtraError: ONNX Runtime came without its converter.
    """
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise MissingExtraError("float16 graphs", "export", "onnxruntime.transformers") from error
    model = onnx.load(graph.path)
    metadata = list(model.metadata_props)
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True))
    half.topological_sort()
    del half.model.metadata_props[:]
    half.model.metadata_props.extend(metadata)
    onnx.save_model(half.model, path)
    return dataclasses.replace(graph, path=path)
