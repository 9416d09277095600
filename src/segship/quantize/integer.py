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

import numpy as np
import onnx
from onnx import numpy_helper

from segship.core.errors import BackendError, MissingExtraError
from segship.quantize.fold import fold_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Graph

__all__ = ["to_int8"]

_ATTENTION = {"Attention", "Softmax"}
# OpenVINO 2026 gets a padded pooling wrong whose input has a zero point: DDRNet's logits moved by 4 % of the greatest,
# and by 0.8 % with its poolings in floating point. Engines compute attention as one operator in floating point only;
# with integers before it they take it apart, and SegFormer's int8 was slower than its float32.
_NEVER = ["AveragePool", "Attention"]
_UNSIGNED, _SIGNED = 255, 127  # the greatest values of eight bits


def to_int8(
    graph: Graph,
    path: Path,
    samples: Iterable[Any],
    feed: Callable[[Any], NDArray[np.float32]],
    *,
    symmetric: bool = False,
) -> Graph:
    """Write an int8 version of ``graph``.

    Activations per tensor, weights per channel in seven of the eight bits: processors without integer dot products
    (VNNI) add pairs of products in 16 bits, which eight-bit weights overflow. Softmax, attention as one operator and
    average pooling stay in floating point.

    Args:
        graph: float32, ONNX.
        path: The file to write.
        samples: What calibration looks at, each one anything; gone through several times.
        feed: Makes the network's input float32 (1, C, H, W) of a sample.
        symmetric: Signed activations without zero points and weights in all eight bits, as GPUs want them.

    Returns:
        The graph at ``path``.

    Raises:
        MissingExtraError: NNCF is not installed.
        BackendError: NNCF refuses the graph.
    """
    nncf = _load()
    model = fold_weights(onnx.load(graph.path))
    metadata = list(model.metadata_props)
    attention = any(node.op_type in _ATTENTION for node in model.graph.node)
    chosen = list(samples)
    name = graph.inputs[0].name
    known = nncf.quantization.advanced_parameters
    try:
        # Its progress bars go to standard output, which belongs to the caller.
        with contextlib.redirect_stdout(sys.stderr):
            quantized = nncf.quantize(
                model,
                nncf.Dataset(chosen, lambda sample: {name: feed(sample)}),
                preset=nncf.QuantizationPreset.PERFORMANCE if symmetric else nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if attention else None,
                subset_size=len(chosen),
                ignored_scope=nncf.IgnoredScope(types=_NEVER, validate=False),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=known.OverflowFix.DISABLE if symmetric else known.OverflowFix.ENABLE,
                    # Left to itself, NNCF gives depthwise convolutions a scale for each channel of their input, which
                    # ONNX Runtime fuses and then refuses to run.
                    activations_quantization_params=known.QuantizationParameters(per_channel=False),
                ),
            )
    except Exception as error:
        raise BackendError(f"NNCF cannot quantise this network: {str(error).strip()[:300]}") from error
    if symmetric:
        _make_signed(quantized)
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(metadata)
    onnx.save_model(quantized, path)
    return dataclasses.replace(graph, path=path)


def _make_signed(model: onnx.ModelProto) -> None:
    """Values from 0 to 255 become values from -127 to 127 of the same range: GPUs know no other eight bits.

    Raises:
        BackendError: A zero point is not zero, so that the range is not symmetric.
    """
    del model.graph.value_info[:]  # it repeats the types that change
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    for scale, zero in {(node.input[1], node.input[2]) for node in pairs}:
        point = numpy_helper.to_array(values[zero])
        if point.any():
            raise BackendError(f"NNCF gave {zero} a zero point, which this engine does not know")
        if point.dtype == np.uint8:
            wider = numpy_helper.to_array(values[scale]) * np.float32(_UNSIGNED / _SIGNED)
            values[scale].CopyFrom(numpy_helper.from_array(wider.astype(np.float32), scale))
            values[zero].CopyFrom(numpy_helper.from_array(point.astype(np.int8), zero))


def _load() -> Any:
    # NNCF would otherwise report its use to a server of its makers.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("int8", "int8", "nncf") from error
    nncf.set_log_level(logging.ERROR)
    return nncf
