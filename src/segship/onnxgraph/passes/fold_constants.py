"""Compute once what a graph computes of constants at every run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from segship.core.errors import UnsupportedError, one_line
from segship.onnxgraph.file import is_large, load
from segship.onnxgraph.operators import STANDARD_DOMAINS, foreign_operators
from segship.onnxgraph.session import open_model

if TYPE_CHECKING:
    import onnx

__all__ = ["fold_constants"]


def fold_constants(model: onnx.ModelProto) -> bool:
    """Fold shape arithmetic, reshaped biases and the like, as paddle2onnx writes them out.

    ONNX Runtime's basic optimisations stay within standard operators: constants are folded, and batch normalisation
    becomes part of the convolution before it. A model of 2 GiB and more stays as it is.

    Args:
        model: The model; changed in place.

    Returns:
        Whether it was optimised.

    Raises:
        UnsupportedError: ONNX Runtime refuses the model.
    """
    from onnxruntime import GraphOptimizationLevel

    if is_large(model):
        return False
    with tempfile.TemporaryDirectory(prefix="segship-fold-") as folder:
        file = Path(folder) / "folded.onnx"
        basic = GraphOptimizationLevel.ORT_ENABLE_BASIC
        try:
            open_model(model, graph_optimization_level=basic, optimized_model_filepath=str(file))
        except Exception as error:
            raise UnsupportedError(f"ONNX Runtime refuses the graph: {one_line(error)}") from error
        folded = load(file)
    if foreign_operators(folded):
        return False
    kept = [entry for entry in folded.opset_import if entry.domain in STANDARD_DOMAINS]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    model.CopyFrom(folded)
    return True
