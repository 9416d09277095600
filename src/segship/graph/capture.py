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
from segship.graph.onnx_file import split, write_model
from segship.graph.operators import may_alias
from segship.graph.optimise import optimise
from segship.graph.passes import PASSES
from segship.graph.program import INPUT, OUTPUT, trace
from segship.graph.translations import TRANSLATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from segship.graph.onnx_file import Weights
    from segship.models.network import Network

__all__ = ["ATTENTION_OPSET", "OPSET", "capture_onnx"]

OPSET = 20
"""Every engine reads it."""

ATTENTION_OPSET = 23
"""The first that has attention as one operator; used for networks that have attention."""


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
    with _model_of(network, size, channels, dynamic=dynamic, opset=opset) as (model, weights):
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
    """The network as a model and its weights: exported, or its own where it is a graph already."""
    own: Callable[[], onnx.ModelProto] | None = getattr(network, "onnx_model", None)
    if own is not None:
        yield split(own())
        return
    with _quiet(), _uncollected():
        program = trace(network, size, channels, dynamic=dynamic, whole_layers=True)
        if may_alias(program):  # then the layers must be torch's own
            program = trace(network, size, channels, dynamic=dynamic)
        views = {name: _view(tensor) for name, tensor in program.state_dict.items()}
        program.state_dict.update(views)
        exported = _translate(program, opset or _opset(program))
        optimise(exported.model)
    try:
        yield split(exported.model)
    finally:
        # The exporter's rewriting rules remember the last graph they saw, and so all its weights.
        for view in views.values():
            view.data = torch.empty(0, dtype=view.dtype)


def _translate(program: torch.export.ExportedProgram, opset: int) -> Any:
    """The program as torch.onnx's, which has the model.

    torch.onnx first traces every program anew, to take operators apart that it has no translation for. That is more
    than half of its time, and most programs have no such operator.
    """
    in_full = program.run_decompositions

    def only_where_needed(table: Any = None) -> torch.export.ExportedProgram:
        return program if _is_plain(program, table or {}) else in_full(table)

    def translate() -> Any:
        return torch.onnx.export(
            program,
            opset_version=opset,
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            custom_translation_table=TRANSLATIONS,
            optimize=False,
        )

    program.run_decompositions = only_where_needed
    try:
        return translate()
    except torch.onnx.OnnxExporterError:
        program.run_decompositions = in_full
        return translate()


def _is_plain(program: torch.export.ExportedProgram, table: Mapping[Any, Any]) -> bool:
    """Whether no operator of ``program`` is to be taken apart by ``table``, or changes a tensor in place."""
    calls = {node.target for node in program.graph.nodes if node.op == "call_function"}
    return not calls & set(table) and not any(
        call._schema.is_mutable  # noqa: SLF001  (nothing public tells it)
        for call in calls
        if isinstance(call, torch._ops.OpOverload)  # noqa: SLF001
    )


def _view(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of the same numbers, in the same memory."""
    view = tensor.detach()
    return torch.nn.Parameter(view, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else view


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
