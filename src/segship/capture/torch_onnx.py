"""From a network to ONNX by torch's own exporter, for networks that the tracer refuses."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, Any

import torch

from segship.capture.torch_program import export_program
from segship.onnxgraph.conventions import ATTENTION_OPSET, INPUT, OPSET, OUTPUT
from segship.onnxgraph.file import split
from segship.onnxgraph.passes.floor_division import floor_division

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        program = export_program(network, options)
        views = {name: _view(tensor) for name, tensor in program.state_dict.items()}
        program.state_dict.update(views)
        translated: Any = torch.onnx.export(
            program,
            opset_version=options.opset or _opset(program),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    try:
        small, weights = split(translated.model)
        floor_division(small)
        yield small, weights
    finally:
        # The exporter's rewriting rules remember the last graph they saw, and so all its weights.
        for view in views.values():
            view.data = torch.empty(0, dtype=view.dtype)


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
