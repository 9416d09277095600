"""int8: weights and activations as eight-bit integers, by NNCF on the ONNX graph.

The result is an ordinary ONNX file in which quantised tensors pass through QuantizeLinear and DequantizeLinear (QDQ):
every engine that reads ONNX understands it and fuses the pairs into integer kernels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import onnx

from segship.core.errors import BackendError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from segship.core.artifacts import Graph

__all__ = ["to_int8"]

_ATTENTION = {"Attention", "Softmax"}


def to_int8(
    graph: Graph,
    path: Path,
    samples: Iterable[Any],
    feed: Callable[[Any], NDArray[np.float32]],
) -> Graph:
    """Write an int8 version of ``graph``.

    Activations per tensor, weights per channel in seven of the eight bits: processors without integer dot products
    (VNNI) add pairs of products in 16 bits, which eight-bit weights overflow. Softmax stays in floating point.

    Args:
        graph: float32, ONNX.
        path: The file to write.
        samples: What calibration looks at, each one anything; gone through several times.
        feed: Makes the network's input float32 (1, C, H, W) of a sample.

    Returns:
        The graph at ``path``.

    Raises:
        MissingExtraError: NNCF is not installed.
        BackendError: NNCF refuses the graph.
    """
    nncf = _load()
    model = onnx.load(graph.path)
    metadata = list(model.metadata_props)
    attention = any(node.op_type in _ATTENTION for node in model.graph.node)
    chosen = list(samples)
    name = graph.inputs[0].name
    try:
        # Its progress bars go to standard output, which belongs to the caller.
        with contextlib.redirect_stdout(sys.stderr):
            quantized = nncf.quantize(
                model,
                nncf.Dataset(chosen, lambda sample: {name: feed(sample)}),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if attention else None,
                subset_size=len(chosen),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=nncf.quantization.advanced_parameters.OverflowFix.ENABLE
                ),
            )
    except Exception as error:
        raise BackendError(f"NNCF cannot quantise this network: {str(error).strip()[:300]}") from error
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(metadata)
    onnx.save_model(quantized, path)
    return dataclasses.replace(graph, path=path)


def _load() -> Any:
    # NNCF would otherwise report its use to a server of its makers.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("int8", "int8", "nncf") from error
    nncf.set_log_level(logging.ERROR)
    return nncf
