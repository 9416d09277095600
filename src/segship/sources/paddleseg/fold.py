"""What paddle2onnx leaves to be computed at every run, computed once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from segship.core.errors import UnsupportedError

__all__ = ["fold_constants"]

_LARGEST = 2**31 - 2**26  # bytes of a protobuf message


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model without the shape arithmetic and the reshaped biases that paddle2onnx writes out.

    ONNX Runtime's basic optimisations stay within standard operators: constants are folded, and batch normalisation
    becomes part of the convolution before it.

    Args:
        model: Left as it is.

    Raises:
        UnsupportedError: ONNX Runtime refuses the model.
    """
    import onnxruntime

    if model.ByteSize() > _LARGEST:
        return model
    with tempfile.TemporaryDirectory(prefix="segship-fold-") as folder:
        file = Path(folder) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(file)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise UnsupportedError(f"ONNX Runtime refuses what paddle2onnx made of the network: {text}") from error
        folded: onnx.ModelProto = onnx.load(file)
    domains = {node.domain for node in folded.graph.node}
    if domains - {"", "ai.onnx"}:
        return model
    kept = [entry for entry in folded.opset_import if entry.domain in {"", "ai.onnx"}]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded
