"""The one static graph that vendors' converters accept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, shape_inference

from segship.core.errors import UnsupportedError
from segship.onnxgraph.metadata import metadata_of, set_metadata
from segship.onnxgraph.passes.attention_to_products import attention_to_products
from segship.onnxgraph.passes.drop_unused import drop_unused
from segship.onnxgraph.passes.fold_constants import fold_constants
from segship.onnxgraph.passes.lower_opset import lower_opset
from segship.onnxgraph.passes.name_nodes import name_nodes
from segship.onnxgraph.passes.normalize_before_joining import normalize_before_joining
from segship.onnxgraph.rewrite import rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from segship.core.artifacts import Graph

__all__ = ["make_plain", "plain_graph"]

_WHOLE = {TensorProto.INT64, TensorProto.INT32}
_MOVING = {"ArgMax", "Cast", "Gather", "GatherElements", "GatherND", "OneHot", "ScatterElements", "ScatterND", "TopK"}
"""Operators that pick and place by whole numbers, without arithmetic on them."""


def plain_graph(graph: Graph, path: Path, opset: int) -> Graph:
    """Write a version of a static graph that a vendor's converter accepts.

    Its operators are those of an older opset. Sizes and all else that is known before it runs are computed, so that no
    arithmetic on whole numbers is left; attention is written as its products; every node has a name. Its inputs and
    outputs, of float32, stay.

    Args:
        graph: ONNX, float32, of one size; its file stays as it is.
        path: The file to write.
        opset: The newest opset that the converter reads.

    Returns:
        The graph at ``path``.

    Raises:
        UnsupportedError: The graph cannot be written so; the message names the operator.
    """
    return rewrite(graph, path, lambda model: make_plain(model, opset))


def make_plain(model: onnx.ModelProto, opset: int) -> None:
    """Change a model in place into what `plain_graph` writes."""
    metadata = metadata_of(model)
    attention_to_products(model, everywhere=True)
    fold_constants(model)
    if normalize_before_joining(model):
        fold_constants(model)
    lower_opset(model, opset)
    drop_unused(model)
    name_nodes(model)
    _require_floats(model)
    set_metadata(model, metadata)


def _require_floats(model: onnx.ModelProto) -> None:
    inferred = shape_inference.infer_shapes(model).graph
    whole = {value.name for value in inferred.value_info if value.type.tensor_type.elem_type in _WHOLE}
    for node in inferred.node:
        if node.op_type not in _MOVING and whole.intersection(node.output) and whole.intersection(node.input):
            raise UnsupportedError(
                f"{node.op_type} {node.name!r} computes with whole numbers that depend on the image, which vendors' "
                "converters refuse"
            )
