"""Normalisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.meta_shapes import same
from segship.capture.trace.registry import function
from segship.capture.trace.tensors import is_weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []

_GROUP_NORM = 21  # the first opset that has it


@function("batch_norm", shape=same)
def _batch_norm(
    g: TracedGraph,
    _: Tensor,
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    del momentum
    if training or not is_weight(running_mean):
        raise UntraceableError("normalisation by the batch's own figures")
    ones = torch.ones_like(running_mean)
    scale, shift = ones if weight is None else weight, ones * 0 if bias is None else bias
    parts = (g.tensor(part) for part in (input, scale, shift, running_mean, running_var))
    return g.add("BatchNormalization", *parts, epsilon=float(eps))


@function("layer_norm", shape=same)
def _layer_norm(
    g: TracedGraph, _: Tensor, input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Value:  # fmt: skip
    scale = torch.ones(tuple(normalized_shape)) if weight is None else weight
    parts = (g.tensor(part) for part in (input, scale, bias) if part is not None)
    return g.add("LayerNormalization", *parts, axis=-len(normalized_shape), epsilon=float(eps))


@function("group_norm", shape=same)
def _group_norm(
    g: TracedGraph,
    out: Tensor,
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Value:
    channels = out.shape[1]
    scale, shift = (
        torch.full((channels,), rest) if part is None else part for part, rest in ((weight, 1.0), (bias, 0.0))
    )
    x = g.tensor(input)
    if (g.opset or 0) >= _GROUP_NORM:
        parts = (g.tensor(scale), g.tensor(shift))
        return g.add("GroupNormalization", x, *parts, num_groups=num_groups, epsilon=float(eps))
    ones = torch.ones(num_groups)
    flat = g.add("Reshape", x, g.constant([0, num_groups, -1], "int64"))
    even = g.add("InstanceNormalization", flat, g.tensor(ones), g.tensor(ones * 0), epsilon=float(eps))
    even = g.add("Reshape", even, g.sizes(list(input.shape)))
    shape = (-1, *[1] * (input.dim() - 2))
    return g.add("Add", g.add("Mul", even, g.tensor(scale.reshape(shape))), g.tensor(shift.reshape(shape)))


@function("instance_norm", shape=same)
def _instance_norm(
    g: TracedGraph, out: Tensor, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Value:  # fmt: skip
    del momentum
    if not use_input_stats:
        return _batch_norm(g, out, input, running_mean, running_var, weight, bias, eps=eps)
    ones = torch.ones(out.shape[1])
    parts = (input, ones if weight is None else weight, ones * 0 if bias is None else bias)
    return g.add("InstanceNormalization", *map(g.tensor, parts), epsilon=float(eps))
