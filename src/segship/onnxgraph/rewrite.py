"""Rewriting graphs as files, and the passes that engines ask for by name, in ``INFO.passes``."""

from __future__ import annotations

import dataclasses
import mmap
from typing import TYPE_CHECKING

from segship.onnxgraph.file import load, save
from segship.onnxgraph.passes.attention_to_products import attention_to_products
from segship.onnxgraph.passes.exact_summands import exact_summands
from segship.onnxgraph.passes.finite_masks import finite_masks
from segship.onnxgraph.passes.flat_layer_norm import flat_layer_norm
from segship.onnxgraph.passes.join_hard_swish import join_hard_swish
from segship.onnxgraph.passes.join_sigmoid import join_sigmoid
from segship.onnxgraph.passes.normalize_before_joining import normalize_convolutions
from segship.onnxgraph.passes.one_batch import one_batch
from segship.onnxgraph.passes.pads_with_axes import pads_with_axes
from segship.onnxgraph.passes.pool_to_convolution import pool_to_convolution
from segship.onnxgraph.passes.prelu_to_max import prelu_to_max
from segship.onnxgraph.passes.trim_taps import trim_taps
from segship.onnxgraph.passes.turn_columns import turn_columns
from segship.onnxgraph.passes.unsigned_activations import unsigned_activations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import onnx

    from segship.core.artifacts import Graph

__all__ = ["PASSES", "apply_passes", "rewrite"]

PASSES: Mapping[str, tuple[str, Callable[[onnx.ModelProto], bool]]] = {
    "attention_to_products": ("Attention", attention_to_products),
    "exact_summands": ("QuantizeLinear", exact_summands),
    "finite_masks": ("Softmax", finite_masks),
    "flat_layer_norm": ("LayerNormalization", flat_layer_norm),
    "join_hard_swish": ("HardSigmoid", join_hard_swish),
    "join_sigmoid": ("Exp", join_sigmoid),
    "normalize_convolutions": ("BatchNormalization", normalize_convolutions),
    "one_batch": ("Transpose", one_batch),
    "pads_with_axes": ("MaxPool", pads_with_axes),
    "pool_to_convolution": ("AveragePool", pool_to_convolution),
    "prelu_to_max": ("PRelu", prelu_to_max),
    "trim_taps": ("Conv", trim_taps),
    "turn_columns": ("MatMul", turn_columns),
    "unsigned_activations": ("QuantizeLinear", unsigned_activations),
}
"""What suits one engine's kernels and not another's: the operator that a pass rewrites, and the pass."""


def rewrite(graph: Graph, path: Path, change: Callable[[onnx.ModelProto], object]) -> Graph:
    """Write a version of a graph.

    Args:
        graph: ONNX; its file stays as it is.
        path: The file to write.
        change: Changes the model in place; its inputs, outputs and metadata stay.

    Returns:
        The graph at ``path``.
    """
    model = load(graph.path)
    change(model)
    save(model, path)
    return dataclasses.replace(graph, path=path)


def apply_passes(graph: Graph, names: Iterable[str]) -> Graph:
    """Write the version of a graph that an engine is built from.

    Args:
        graph: ONNX, of the engine's precision; weights that lie beside the file are not read.
        names: The passes, of `PASSES`, in the order in which they run.

    Returns:
        ``graph`` itself where no pass changes it; else one in a folder of its own beside ``graph``.
    """
    # Most graphs have none of these operators, and need not be read as a whole to see it.
    passes = [apply for operator, apply in map(PASSES.__getitem__, names) if _mentions(graph.path, operator)]
    if not passes:
        return graph
    model = load(graph.path, weights=False)
    changed = [apply(model) for apply in passes]  # every one runs
    if not any(changed):
        return graph
    path = graph.path.parent / "passes" / graph.path.name
    path.parent.mkdir(exist_ok=True)
    save(model, path, source=graph.path)
    return dataclasses.replace(graph, path=path)


def _mentions(path: Path, operator: str) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(operator.encode()) >= 0
