"""From a network to one ONNX file of standard operators."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

from segship.capture.trace.tensors import UnrecordedError
from segship.capture.trace.tracer import record
from segship.core.artifacts import Graph
from segship.core.errors import UnsupportedError
from segship.onnxgraph.file import split, write
from segship.onnxgraph.metadata import set_metadata
from segship.onnxgraph.operators import foreign_operators
from segship.onnxgraph.passes.name_dimensions import name_dimensions
from segship.onnxgraph.passes.strip_metadata import strip_metadata
from segship.onnxgraph.ports import inputs_of, outputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnx

    from segship.networks.network import Network
    from segship.onnxgraph.weights import Weights

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
        strip_metadata(model)
        name_dimensions(model)
        _require_standard_operators(model)
        set_metadata(model, metadata or {})
        write(model, weights, path)
    return Graph(path, "onnx", inputs_of(model), outputs_of(model), dict(metadata or {}))


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
    foreign = foreign_operators(model)
    if foreign or model.functions:
        raise UnsupportedError(f"the graph needs operators outside standard ONNX: {', '.join(foreign) or 'functions'}")
