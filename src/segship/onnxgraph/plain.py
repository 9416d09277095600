"""The one static graph that vendors' converters accept."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import TensorProto

from segship.core.errors import UnsupportedError
from segship.onnxgraph.file import SharedWeights, load, split, write
from segship.onnxgraph.metadata import metadata_of, set_metadata
from segship.onnxgraph.passes.attention_to_products import attention_to_products
from segship.onnxgraph.passes.drop_unused import drop_unused
from segship.onnxgraph.passes.fold_constants import fold_constants
from segship.onnxgraph.passes.lower_opset import lower_opset
from segship.onnxgraph.passes.name_nodes import name_nodes
from segship.onnxgraph.passes.normalize_before_joining import normalize_before_joining
from segship.onnxgraph.shapes import shaped_values

if TYPE_CHECKING:
    import onnx

    from segship.core.artifacts import Graph

__all__ = ["plain_graph"]

_WHOLE = {TensorProto.INT64, TensorProto.INT32}
_MOVING = {
    *("ArgMax", "Cast", "Expand", "Gather", "GatherElements", "GatherND", "OneHot", "Reshape", "ScatterElements"),
    *("ScatterND", "Squeeze", "Tile", "TopK", "Transpose", "Unsqueeze"),
}
"""Operators that pick and place by whole numbers, without arithmetic on them."""

_LARGE = 2**18  # bytes; what a rewrite looks at, like one number for each channel, is smaller


def plain_graph(graph: Graph, path: Path, opset: int) -> Graph:
    """Write a version of a static graph that a vendor's converter accepts.

    Its operators are those of an older opset. Sizes and all else that is known before it runs are computed, so that no
    arithmetic on whole numbers is left; attention is written as its products; every node has a name. Its inputs and
    outputs, of float32, stay. Large weights are in a file meanwhile, and not in memory.

    Args:
        graph: ONNX, float32, of one size; its file stays as it is.
        path: The file to write.
        opset: The newest opset that the converter reads.

    Returns:
        The graph at ``path``.

    Raises:
        UnsupportedError: The graph cannot be written so; the message names the operator.
    """
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".plain.") as scratch:
        folder = Path(scratch)
        apart = folder / "apart.onnx"
        write(*split(load(graph.path), least=_LARGE), apart, shared=SharedWeights(folder / "weights.data", least=0))
        model = load(apart, weights=False)
        _make_plain(model, opset, folder)
        write(*split(model, folder=folder), path)
    return dataclasses.replace(graph, path=path)


def _make_plain(model: onnx.ModelProto, opset: int, folder: Path) -> None:
    """Change a model, whose large weights lie in a folder, in place into what `plain_graph` writes."""
    metadata = metadata_of(model)
    attention_to_products(model, everywhere=True)
    fold_constants(model, folder)
    if normalize_before_joining(model):
        fold_constants(model, folder)
    lower_opset(model, opset)
    drop_unused(model)
    name_nodes(model)
    _require_floats(model)
    set_metadata(model, metadata)


def _require_floats(model: onnx.ModelProto) -> None:
    whole = {value.name for value in shaped_values(model) if value.type.tensor_type.elem_type in _WHOLE}
    whole.difference_update(tensor.name for tensor in model.graph.initializer)
    for node in model.graph.node:
        if node.op_type not in _MOVING and whole.intersection(node.output) and whole.intersection(node.input):
            raise UnsupportedError(
                f"{node.op_type} {node.name!r} computes with whole numbers that depend on the image, which vendors' "
                "converters refuse"
            )
