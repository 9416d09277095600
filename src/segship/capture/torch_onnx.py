"""From a network to ONNX by torch's own exporter, for networks whose layers others wrote."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch

from segship.capture.operators import may_alias
from segship.capture.optimise import optimise
from segship.capture.torch_program import trace
from segship.capture.translations import TRANSLATIONS
from segship.onnxgraph.conventions import ATTENTION_OPSET, INPUT, OPSET, OUTPUT
from segship.onnxgraph.file import split
from segship.onnxgraph.passes.floor_division import floor_division

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx

    from segship.capture.options import CaptureOptions
    from segship.networks.network import Network
    from segship.onnxgraph.weights import Weights

__all__ = ["exported"]


@contextlib.contextmanager
def exported(network: Network, options: CaptureOptions) -> Iterator[tuple[onnx.ModelProto, Weights]]:
    """The model of ``network`` without its weights, and the weights by name, as long as the context lasts.

    Args:
        network: In eval mode, on the CPU.
        options: The size of the example, what stays free, the version of the operators.
    """
    with _quiet():
        program = trace(network, options, whole_layers=True)
        if may_alias(program):  # then the layers must be torch's own
            program = trace(network, options)
        views = {name: _view(tensor) for name, tensor in program.state_dict.items()}
        program.state_dict.update(views)
        model = _translate(program, options.opset or _opset(program)).model
        optimise(model)
    try:
        small, weights = split(model)
        floor_division(small)
        yield small, weights
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
