"""From a network to one ONNX file of standard operators."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.tracer import trace
from segship.core.artifacts import Graph
from segship.core.errors import UnsupportedError
from segship.onnxgraph.file import split, write
from segship.onnxgraph.metadata import set_metadata
from segship.onnxgraph.operators import foreign_operators
from segship.onnxgraph.passes.name_dimensions import name_dimensions
from segship.onnxgraph.passes.strip_metadata import strip_metadata
from segship.onnxgraph.ports import inputs_of, outputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import onnx

    from segship.capture.options import CaptureOptions
    from segship.networks.network import Network
    from segship.onnxgraph.weights import Weights

__all__ = ["write_onnx"]


def write_onnx(network: Network, path: Path, options: CaptureOptions) -> Graph:
    """Write ``network`` as an ONNX file of standard operators; see `segship.capture.capture`."""
    with _uncollected(), _model_of(network, options) as (model, weights):
        strip_metadata(model)
        name_dimensions(model)
        _require_standard_operators(model)
        set_metadata(model, options.metadata)
        write(model, weights, path)
    return Graph(path, "onnx", inputs_of(model), outputs_of(model), options.metadata)


@contextlib.contextmanager
def _model_of(network: Network, options: CaptureOptions) -> Iterator[tuple[onnx.ModelProto, Weights]]:
    """The network as a model and its weights: traced, exported by torch, or its own where it is a graph already."""
    own: Callable[[], onnx.ModelProto] | None = getattr(network, "onnx_model", None)
    if own is not None:
        yield split(own())
        return
    traced = None
    with contextlib.suppress(UntraceableError):
        traced = trace(network, options)
    if traced is not None:
        yield traced
        return
    from segship.capture.torch_onnx import exported

    with exported(network, options) as model:
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
