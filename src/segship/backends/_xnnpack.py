"""A program written so that XNNPACK takes all of it: what it leaves runs on slow kernels of ExecuTorch's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import fx

__all__ = ["fold", "for_xnnpack"]

_POOLING: tuple[Any, ...] = (None, None, [], [0, 0], False, True, None)  # of aten's avg_pool2d, where none is given
_ATTENTION: tuple[Any, ...] = (None, None, None, None, 0.0, False)  # of scaled_dot_product_attention


def for_xnnpack(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Fold what depends on weights alone, and write averages with a margin and attention as XNNPACK knows them.

    Args:
        program: Of one size.

    Returns:
        A program that computes the same.
    """
    import torch

    program = _folded(program)
    aten, graph = torch.ops.aten, program.graph_module.graph
    for node in graph.find_nodes(op="call_function", target=aten.avg_pool2d.default):
        _pad_before(node)
    for node in graph.find_nodes(op="call_function", target=aten.scaled_dot_product_attention.default):
        _spell_out(node)
    program.graph_module.recompile()
    return program


def fold(module: fx.GraphModule) -> fx.GraphModule:
    """Make constants of what depends on weights alone, and eight-bit numbers of those that are quantised; in place.

    Projections of an attention share one weight and one bias, as parts of a convolution may: XNNPACK leaves a layer
    whose weights are computed.

    Args:
        module: Of torch.export.

    Returns:
        The same.
    """
    import torch
    from torchao.quantization.pt2e.constant_fold import constant_fold

    constant_fold(module, _may_fold)
    for part in module.buffers():  # of a slice, XNNPACK would read what lies beside it
        part.data = part.clone(memory_format=torch.contiguous_format)
    return module


def _may_fold(node: fx.Node) -> bool:
    return "dequantize" not in str(node.target)


def _folded(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    import torch

    if not _computes_weights(program):
        return program
    module = fold(program.module(check_guards=False))
    (shape,) = (node.meta["val"].shape for node in module.graph.find_nodes(op="placeholder"))
    return torch.export.export(module, (torch.zeros(shape),))


def _computes_weights(program: torch.export.ExportedProgram) -> bool:
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph_module.graph.nodes:
        sources = node.all_input_nodes
        computed = node.op == "call_function" and _may_fold(node)
        if computed and sources and all(each.op == "placeholder" and each.name not in inputs for each in sources):
            return True
    return False


def _pad_before(node: fx.Node) -> None:
    """Write the zeros around what is averaged as a step of their own: XNNPACK averages no margin, but pads."""
    import torch

    given: list[Any] = [*node.args, *_POOLING[len(node.args) :]]
    x, padding, ceil, counts = given[0], given[3], given[4], given[5]
    rows, columns = padding if len(padding) > 1 else padding * 2
    if not counts or ceil or not (rows or columns):
        return
    aten, quantized = torch.ops.aten, torch.ops.quantized_decomposed
    padded = _added(node, aten.constant_pad_nd.default, x, [columns, columns, rows, rows], 0.0)
    if x.target is quantized.dequantize_per_tensor.default:  # XNNPACK pads bytes as bytes, and zero is one of them
        padded = _added(node, quantized.quantize_per_tensor.default, padded, *x.args[1:])
        padded = _added(node, x.target, padded, *x.args[1:])
    given[0], given[3] = padded, [0, 0]
    node.args = tuple(given)


def _spell_out(node: fx.Node) -> None:
    """Write an attention without a mask as two products and a softmax, of three axes.

    ExecuTorch would look for rows that are masked as a whole, and copy every factor.
    """
    import torch

    aten = torch.ops.aten
    given: list[Any] = [*node.args, *_ATTENTION[len(node.args) :]]
    queries, keys, values, mask, _, causal = given
    if mask is not None or causal or node.kwargs.get("enable_gqa"):
        return
    *outer, _, width = queries.meta["val"].shape
    scale = node.kwargs.get("scale")
    factors = [
        _added(node, aten.reshape.default, each, [-1, *each.meta["val"].shape[-2:]]) for each in (queries, keys, values)
    ]
    scaled = _added(node, aten.mul.Tensor, factors[0], width**-0.5 if scale is None else scale)
    turned = _added(node, aten.transpose.int, factors[1], 1, 2)
    shares = _added(node, aten.softmax.int, _added(node, aten.bmm.default, scaled, turned), -1)
    found = _added(node, aten.bmm.default, shares, factors[2])
    node.replace_all_uses_with(_added(node, aten.reshape.default, found, [*outer, *found.meta["val"].shape[1:]]))
    node.graph.erase_node(node)


def _added(before: fx.Node, target: Any, first: fx.Node, *arguments: Any) -> fx.Node:
    """A new node, with what is known of its value."""
    with before.graph.inserting_before(before):
        made = before.graph.call_function(target, (first, *arguments))
    known = [getattr(each, "meta", {}).get("val", each) for each in made.args]
    made.meta["val"] = target(*known)
    return made
