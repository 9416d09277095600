"""Remove what the exporter notes for its own debugging.

It holds file paths of the machine that exported and makes two exports of one checkpoint differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["strip_metadata"]


def strip_metadata(model: onnx.ModelProto) -> None:
    """Drop documentation strings, metadata and inferred shapes of intermediate values; the result is the same graph."""
    graph = model.graph
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    graph.ClearField("value_info")
