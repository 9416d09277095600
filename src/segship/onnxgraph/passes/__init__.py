"""Rewrites of an ONNX model in place, one a file, in the order they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.onnxgraph.passes.name_dimensions import name_dimensions
from segship.onnxgraph.passes.strip_metadata import strip_metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

__all__ = ["PASSES"]

PASSES: tuple[Callable[[onnx.ModelProto], None], ...] = (strip_metadata, name_dimensions)
