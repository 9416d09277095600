"""Attention."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from segship.capture.trace.arguments import first_example
from segship.capture.trace.dims import UntraceableError
from segship.capture.trace.meta_shapes import new
from segship.capture.trace.registry import function
from segship.onnxgraph.conventions import ATTENTION_OPSET

if TYPE_CHECKING:
    from torch import Tensor

    from segship.capture.trace.graph import TracedGraph
    from segship.onnxgraph.build import Value

__all__: list[str] = []

_MAPS = 4  # axes of (N, heads, tokens, channels)


def _attention_shape(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    return new((*query.shape[:-1], value.shape[-1]), query.dtype)


@function("scaled_dot_product_attention", shape=_attention_shape)
def _attention(
    g: TracedGraph,
    out: Tensor,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    if dropout_p or is_causal or enable_gqa:
        raise UntraceableError("attention of a kind that no network here has")
    q, k, v = (g.tensor(part) for part in (query, key, value))
    mask = None if attn_mask is None else g.tensor(attn_mask)
    heads = {example.shape[1:2] for example in map(first_example, (query, key, value))}
    whole = mask is None or first_example(attn_mask).shape[-2:] == (
        out.shape[-2],
        first_example(key).shape[-2],
    )  # as engines want it
    if whole and (g.opset is None or g.opset >= ATTENTION_OPSET) and out.dim() == _MAPS and len(heads) == 1:
        g.opset = ATTENTION_OPSET if g.opset is None else g.opset
        how: dict[str, Any] = {} if scale is None else {"scale": float(scale)}
        return g.add("Attention", *([q, k, v] if mask is None else [q, k, v, mask]), **how)
    factor = first_example(query).shape[-1] ** -0.5 if scale is None else scale
    axes = list(range(key.dim()))
    transposed = g.add("Transpose", k, perm=[*axes[:-2], axes[-1], axes[-2]])
    scores = g.add("MatMul", g.add("Mul", q, g.number(factor, q.dtype)), transposed)
    if mask is not None and mask.dtype == "bool":
        mask = g.where(mask, g.number(0, q.dtype), g.number(-math.inf, q.dtype))
    scores = scores if mask is None else g.add("Add", scores, mask)
    return g.add("MatMul", g.add("Softmax", scores, axis=-1), v)
