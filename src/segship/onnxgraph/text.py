"""Graphs as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.printer

from segship.onnxgraph.file import load

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["text_of"]


def text_of(path: Path) -> str:
    """Return the graph of an ONNX file as text, without its weights, whose numbers would drown the operators."""
    model = load(path, weights=False)
    del model.graph.initializer[:]
    return str(onnx.printer.to_text(model))
