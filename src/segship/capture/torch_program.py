"""From a network to a program of torch's own: torch.export's, or TorchScript."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges

from segship.capture.adaptive_pooling import ExactPooling
from segship.core.artifacts import Graph, TensorInfo
from segship.onnxgraph.conventions import INPUT, OUTPUT

if TYPE_CHECKING:
    from pathlib import Path

    from segship.capture.options import CaptureOptions
    from segship.core.artifacts import GraphFormat
    from segship.networks.network import Network

__all__ = ["export_program", "write_pt2", "write_torchscript"]

_TIMES = 4


class _Logits(nn.Module):
    """The part of a network that becomes the graph: everything but the final resize."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_exporting():
            return self.network.logits(image)
        with ExactPooling():
            return self.network.logits(image)


def export_program(network: Network, options: CaptureOptions) -> torch.export.ExportedProgram:
    """Export with torch.export; adaptive average pooling becomes slices and means.

    Args:
        network: In eval mode, on the CPU.
        options: The size of the example, and what stays free.
    """
    if not options.dynamic:
        return _exported(network, options, None)
    free: Any = torch.export.Dim.DYNAMIC
    if network.sizes.fixed is not None:
        return _exported(network, options, {0: free})
    try:
        return _exported(network, options, {0: free, 2: free, 3: free})
    except NotImplementedError:  # its solver fails at a side that must be a multiple and is divided twice
        if network.sizes.multiple_of == 1:
            raise
        sides = (network.sizes.multiple_of * torch.export.Dim(name, min=1) for name in ("rows", "columns"))
        return _exported(network, options, {0: free, **dict(zip((2, 3), sides, strict=True))})


def _exported(network: Network, options: CaptureOptions, dims: dict[int, Any] | None) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(
            _Logits(network).eval(),
            (_example(options),),
            dynamic_shapes=None if dims is None else (dims,),
            strict=False,
            # Guards like "the stride-8 map is larger than 1" hold for every size the network takes; they become checks
            # in the exported program, which ONNX leaves out, instead of refusals.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def write_pt2(network: Network, path: Path, options: CaptureOptions) -> Graph:
    """Write ``network`` as a program of torch.export (``.pt2``); see `segship.capture.capture`."""
    program = export_program(network, _larger(network, options))
    _drop_assertions(program)
    torch.export.save(program, path, extra_files=dict(options.metadata))
    return _graph(network, path, "pt2", options)


def _larger(network: Network, options: CaptureOptions) -> CaptureOptions:
    """The options with an example of which few parts have one cell.

    torch.export takes what is 1 in the example for 1 always, as the windows along a last stage that is smaller than a
    window. Its tensors hold no numbers, so that a large example takes no longer.
    """
    if not options.dynamic or network.sizes.fixed is not None:
        return options
    height, width = options.size
    return replace(options, size=(_TIMES * height, _TIMES * width))


def _drop_assertions(program: torch.export.ExportedProgram) -> None:
    """Remove the checks that the program only runs at sizes that resemble the traced one.

    They come from questions about memory layout (is this side 1?) whose answer changes no result, and would refuse
    sizes that the network takes. That the program is right at other sizes is what verification shows.
    """
    graph = program.graph_module.graph
    for node in list(graph.nodes):
        if node.target is torch.ops.aten._assert_scalar.default:  # noqa: SLF001
            graph.erase_node(node)
    graph.eliminate_dead_code()
    program.graph_module.recompile()
    for symbol in program.range_constraints:
        program.range_constraints[symbol] = ValueRanges(1, int_oo)


def write_torchscript(network: Network, path: Path, options: CaptureOptions) -> Graph:
    """Write ``network`` as a traced TorchScript file (``.pt``); see `segship.capture.capture`."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation, and remarks on sizes that are compared while tracing
        module = _Logits(network).eval() if options.dynamic else _of_one_size(network, options)
        traced: Any = torch.jit.trace(module, _example(options), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(path), _extra_files=dict(options.metadata))
    return _graph(network, path, "torchscript", options)


def _of_one_size(network: Network, options: CaptureOptions) -> nn.Module:
    """The network with its sizes written in as numbers.

    A trace computes them from the input at every run, and with them what depends on nothing else: position embeddings,
    masks, windows of poolings. Engines that know few operators have none for that arithmetic.
    """
    program = export_program(network, options)
    graph = program.graph_module.graph
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.narrow.default):
        x, axis, start, length = node.args  # several engines know slices only
        with graph.inserting_before(node):
            part = graph.call_function(torch.ops.aten.slice.Tensor, (x, axis, start, start + length))
        node.replace_all_uses_with(part)
        graph.erase_node(node)
    program.graph_module.recompile()
    module: nn.Module = program.module(check_guards=False)
    return module


def _example(options: CaptureOptions) -> torch.Tensor:
    # A batch of two where the batch is free: a size of one would be taken for a constant.
    return torch.zeros(2 if options.dynamic else 1, options.channels, *options.size)


def _graph(network: Network, path: Path, kind: GraphFormat, options: CaptureOptions) -> Graph:
    batch: tuple[int | str, ...] = ("batch",) if options.dynamic else (1,)
    free = options.dynamic and network.sizes.fixed is None
    sides: tuple[int | str, ...] = ("height", "width") if free else options.size
    with torch.no_grad():
        cells = tuple(network.logits(torch.zeros(1, options.channels, *options.size)).shape[2:])
    low: tuple[int | str, ...] = ("logits_height", "logits_width") if free else cells
    return Graph(
        path,
        kind,
        (TensorInfo(name=INPUT, dtype="float32", shape=(*batch, options.channels, *sides)),),
        (TensorInfo(name=OUTPUT, dtype="float32", shape=(*batch, network.out_channels, *low)),),
        options.metadata,
    )
