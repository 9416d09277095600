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

_ONCE = {"session.disable_prepacking": "1"}  # it is opened, and never run


def fold_constants(model: onnx.ModelProto, folder: Path | None = None) -> bool:
    """Fold shape arithmetic, reshaped biases and the like, as paddle2onnx writes them out.

    ONNX Runtime's basic optimisations stay within standard operators: constants are folded, and batch normalisation
    becomes part of the convolution before it. A model that holds 2 GiB and more of weights stays as it is.

    Args:
        model: The model; changed in place.
        folder: Where the weights lie that the model only names, which it goes on to name; None: it names none.

    Returns:
        Whether it was optimised.

    Raises:
        UnsupportedError: ONNX Runtime refuses the model.
    """
    if is_large(model):
        return False
    from onnxruntime import GraphOptimizationLevel

    with tempfile.TemporaryDirectory(prefix="segship-fold-") as scratch:
        file = (folder or Path(scratch)) / "folded.onnx"  # beside the weights, which it names as the model does
        settings = {
            "graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_BASIC,
            "optimized_model_filepath": str(file),
        }
        try:
            open_model(model, _ONCE, folder=folder, **settings)
        except Exception as error:
            raise UnsupportedError(f"ONNX Runtime refuses the graph: {one_line(error)}") from error
        folded = load(file, weights=False)
    if foreign_operators(folded):
        return False
    kept = [entry for entry in folded.opset_import if entry.domain in STANDARD_DOMAINS]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    model.CopyFrom(folded)
    return True
