"""Remove what the exporter notes for its own debugging.

It holds file paths of the machine that exported and makes two exports of one checkpoint differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["strip_metadata"]


def strip_metadata(model: onnx.ModelProto) -> bool:
    """Drop documentation strings, metadata and inferred shapes of intermediate values; the result is the same graph.

    Args:
        model: The model; changed in place.

    Returns:
        Whether there was something to drop.
    """
    graph = model.graph
    found = bool(graph.value_info)
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        found |= item.HasField("doc_string") or bool(item.metadata_props)
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    graph.ClearField("value_info")
    return found
