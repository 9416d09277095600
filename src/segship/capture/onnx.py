"""From a network to one ONNX file of standard operators."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

import onnx

from segship.capture.trace.tensors import UnrecordedError
from segship.capture.trace.tracer import record
from segship.core.artifacts import Graph, TensorInfo
from segship.core.errors import UnsupportedError
from segship.onnxgraph.file import split, write_model
from segship.onnxgraph.passes import PASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from segship.networks.network import Network
    from segship.onnxgraph.file import Weights

__all__ = ["capture_onnx"]


def capture_onnx(
    network: Network,
    path: Path,
    *,
    size: tuple[int, int],
    channels: int = 3,
    dynamic: bool = True,
    metadata: Mapping[str, str] | None = None,
    opset: int | None = None,
) -> Graph:
    """Write ``network`` as an ONNX file that returns low-resolution logits.

    Args:
        network: In eval mode, on the CPU.
        path: The file to write; weights of 2 GiB and more go to ``<name>.data`` beside it.
        size: (height, width) to trace at, one the network takes.
        channels: Number of image channels.
        dynamic: Whether batch, height and width stay free; otherwise they are 1 and ``size``. A network of one fixed
            size keeps height and width fixed all the same.
        metadata: Written into the file.
        opset: Version of the operators, 18 or later; None: the one that suits the network.

    Returns:
        The graph: input ``image`` float32 (batch, channels, height, width), output ``logits`` float32
        (batch, classes, h, w).

    Raises:
        UnsupportedError: The network uses an operator that standard ONNX has not.
    """
    with _uncollected(), _model_of(network, size, channels, dynamic=dynamic, opset=opset) as (model, weights):
        for apply in PASSES:
            apply(model)
        _require_standard_operators(model)
        onnx.helper.set_model_props(model, dict(metadata or {}))
        write_model(model, weights, path)
    inputs, outputs = (tuple(map(_tensor_info, values)) for values in (model.graph.input, model.graph.output))
    return Graph(path, "onnx", inputs, outputs, dict(metadata or {}))


@contextlib.contextmanager
def _model_of(
    network: Network, size: tuple[int, int], channels: int, *, dynamic: bool, opset: int | None
) -> Iterator[tuple[onnx.ModelProto, Weights]]:
    """The network as a model and its weights: recorded, exported by torch, or its own where it is a graph already."""
    own: Callable[[], onnx.ModelProto] | None = getattr(network, "onnx_model", None)
    if own is not None:
        yield split(own())
        return
    if network.own_layers:
        recorded = None
        with contextlib.suppress(UnrecordedError):
            recorded = record(network, size, channels, dynamic=dynamic, opset=opset)
        if recorded is not None:
            yield recorded
            return
    from segship.capture.torch_onnx import exported  # noqa: PLC0415  (it loads much that other networks do without)

    with exported(network, size, channels, dynamic=dynamic, opset=opset) as model:
        yield model


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Leave cyclic garbage for later: looking for it among all that torch holds takes a tenth of a capture."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _require_standard_operators(model: onnx.ModelProto) -> None:
    foreign = sorted(
        {f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in {"", "ai.onnx"}}
    )
    if foreign or model.functions:
        raise UnsupportedError(f"the graph needs operators outside standard ONNX: {', '.join(foreign) or 'functions'}")


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
    return TensorInfo(name=value.name, dtype=dtype, shape=shape)
