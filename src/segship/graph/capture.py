"""From a network to one ONNX file of standard operators."""

from __future__ import annotations

import contextlib
import gc
import logging
import warnings
from typing import TYPE_CHECKING, Any

import onnx
import torch

from segship.core.artifacts import Graph, TensorInfo
from segship.core.errors import UnsupportedError
from segship.graph.passes import PASSES
from segship.graph.program import INPUT, OUTPUT, trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from segship.models.network import Network

__all__ = ["ATTENTION_OPSET", "OPSET", "capture_onnx"]

OPSET = 20
"""Every engine reads it."""

ATTENTION_OPSET = 23
"""The first that has attention as one operator; used for networks that have attention."""

_LARGEST_PROTOBUF = 2**31 - 2**26  # a protobuf message cannot pass 2 GiB; larger weights go to a file beside it


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
    model = _model_of(network, size, channels, dynamic=dynamic, opset=opset)
    gc.collect()  # the exporter's intermediate programs hold the weights in cycles
    for apply in PASSES:
        apply(model)
    _require_standard_operators(model)
    onnx.helper.set_model_props(model, dict(metadata or {}))
    weights = sum(value.nbytes for value in network.state_dict().values())
    _save(model, path, large=weights > _LARGEST_PROTOBUF)
    inputs, outputs = (tuple(map(_tensor_info, values)) for values in (model.graph.input, model.graph.output))
    return Graph(path, "onnx", inputs, outputs, dict(metadata or {}))


def _model_of(
    network: Network, size: tuple[int, int], channels: int, *, dynamic: bool, opset: int | None
) -> onnx.ModelProto:
    """The network as a model: exported, or its own where it is a graph already."""
    own: Callable[[], onnx.ModelProto] | None = getattr(network, "onnx_model", None)
    if own is not None:
        return own()
    model: onnx.ModelProto = _export(network, size, channels, dynamic=dynamic, opset=opset).model_proto
    return model


def _export(network: Network, size: tuple[int, int], channels: int, *, dynamic: bool, opset: int | None) -> Any:
    with _quiet():
        program = trace(network, size, channels, dynamic=dynamic)
        return torch.onnx.export(
            program,
            opset_version=opset or _opset(program),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )


def _opset(program: torch.export.ExportedProgram) -> int:
    attention = torch.ops.aten.scaled_dot_product_attention.default
    return ATTENTION_OPSET if any(node.target is attention for node in program.graph.nodes) else OPSET


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks on packages it could use and on its own internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _require_standard_operators(model: onnx.ModelProto) -> None:
    foreign = sorted(
        {f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in {"", "ai.onnx"}}
    )
    if foreign or model.functions:
        raise UnsupportedError(f"the graph needs operators outside standard ONNX: {', '.join(foreign) or 'functions'}")


def _save(model: onnx.ModelProto, path: Path, *, large: bool) -> None:
    onnx.save_model(model, path, save_as_external_data=large, location=f"{path.name}.data" if large else None)


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
    return TensorInfo(name=value.name, dtype=dtype, shape=shape)
